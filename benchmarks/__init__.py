"""Benchmarks of the kit's speed and memory against the plain way of doing the same work; run by `make bench`."""
