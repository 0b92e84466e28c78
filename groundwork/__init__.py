"""What all three floors stand on: errors, files written whole or not at all, progress, keyed randomness."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library call is silent unless asked
