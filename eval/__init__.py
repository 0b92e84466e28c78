"""Predictions to metrics to report. Runs without torch; always `from eval.metrics import …`, never `import eval`."""
