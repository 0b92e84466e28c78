"""From index to tasks to pixels: which frames a task takes, and where they come from."""
