"""Speed and memory of the kit beside the plain way of doing the same work; run by `make bench`."""
