"""Videos to frames to index: the data preparation before a recognizer can be trained or tried."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library call is silent unless asked
