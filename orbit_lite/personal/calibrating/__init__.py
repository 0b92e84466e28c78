"""What is learned from videos held out: how scores become answers, and what can be promised of them."""
