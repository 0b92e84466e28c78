"""Meta-training: the loop, its experiment, optimizer, tasks and state. Others call `loop.train` and `experiment`."""
