"""The videos and frames of a tree and their names: layout, index, packed and raw trees, annotations.

Others call `index.open_index` and `index.build_index`, `annotations` and `annotation_judge`, `own_videos`,
`stills.is_stills`, `object_folder` for the places of videos, and the names in `layout` and `naming`.
"""
