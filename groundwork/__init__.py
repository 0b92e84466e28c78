"""What all other packages build on: errors, atomic file writing, progress, keyed randomness, tables and pages."""

import logging

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library call is silent unless asked
