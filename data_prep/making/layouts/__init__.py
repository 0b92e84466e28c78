"""Readers for the file layouts of published image data sets: each gives classes, splits and pictures.

`table` lists all layouts by name. A layout is one module and one line there. The files can't be trusted: sizes, counts,
names and paths are checked before they are used, and no pickle is ever opened.
"""
