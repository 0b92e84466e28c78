"""Makes a tree from another tree or from folders of pictures: extract, images, resize, split, pack.

They share `run` and `out_folder`. `verify` checks a tree, `summarize` tabulates it.
"""
