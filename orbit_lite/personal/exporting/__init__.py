"""Exports a personal recognizer to files that other programs can run. Callers use `export.export`."""
