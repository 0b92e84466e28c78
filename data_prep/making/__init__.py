"""A tree made out of another one, or out of folders of pictures: extract, images, resize, split, pack.

`run` and `out_folder` are what these share. `verify` and `summarize` say what is in a tree.
"""
