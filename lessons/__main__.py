"""``python -m lessons`` is the same as the command ``minigrad``."""

import sys

from lessons.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
