"""From predictions to metrics to reports, without torch. Always use `from eval.metrics import …`, never `import
eval`."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # library calls log nothing by default
