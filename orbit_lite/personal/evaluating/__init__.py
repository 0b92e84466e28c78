"""Evaluates a personal file on videos that did not teach it, in a run folder of `evaluate`, with the file's answers."""
