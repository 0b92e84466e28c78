"""Work in processes that can be killed: `pool` for many items, `stream` for what a generator gives; `starting` is how
they begin."""
