"""Videos to frames to index: what has to be done before a recognizer can be trained or tried."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library call is silent unless asked
