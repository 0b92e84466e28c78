"""Video decoders by name: `pyav`, which reads everything, and others, for comparison or for their speed.

`table` names them, `read_checked` reads with one of them. Each of the others is one module here.
"""
