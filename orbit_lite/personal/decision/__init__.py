"""How a frame's scores become an answer: how sure and how familiar it is, and when it is none of these."""
