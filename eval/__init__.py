"""Predictions to metrics to report. Runs without torch; always `from eval.metrics import …`, never `import eval`."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library call is silent unless asked
