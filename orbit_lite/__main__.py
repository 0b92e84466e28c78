"""`python -m orbit_lite` is `orbit-lite`."""

import sys

from orbit_lite.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
