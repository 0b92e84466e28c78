"""The files at eval's border, read strictly and written whole: tasks, predictions, scorecards, results.json.

Others import from `records`; `check` judges predictions.
"""
