"""Evaluates a model on a tree: predictions, scorecard and report in a run folder. Others call `predict` and
`evaluate`."""
