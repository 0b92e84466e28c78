"""Video decoders by name: `pyav`, which reads everything, and others, for comparison or for speed.

`table` lists them, `read_checked` reads with one of them. Each other reader is one module here.
"""
