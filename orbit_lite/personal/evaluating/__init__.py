"""A personal file on videos that did not teach it: the run folder of `evaluate`, with the file's own answers."""
