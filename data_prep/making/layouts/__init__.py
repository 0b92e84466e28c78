"""How published image data sets lay out their files, each layout read as classes, splits and pictures.

`table` has all of them by name. A layout is one module and one line there. Files are data from anywhere: sizes, counts,
names and paths are checked before they are used, and no pickle is ever opened.
"""
