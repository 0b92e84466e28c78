"""Work in processes that can be killed: `pool` for many items, `stream` for the values of a generator; `starting`
starts the processes."""
