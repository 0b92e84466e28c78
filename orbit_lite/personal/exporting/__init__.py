"""A personal recognizer to files that other programs run. Others call `export.export`."""
