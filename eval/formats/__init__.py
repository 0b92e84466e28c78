"""Eval's files, read strictly and written atomically: tasks, predictions, scorecards, results.json.

Other packages import from `records`; `check` checks predictions.
"""
