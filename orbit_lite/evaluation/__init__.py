"""A model on a tree: predictions, scorecard and report in one run folder. Others call `predict` and `evaluate`."""
