"""``python -m sim2real``."""

import sys

from sim2real.cli import main

if __name__ == "__main__":
    sys.exit(main())
