"""Compare the runs of a sweep: `python compare.py <multirun folder>`. Nothing is trained."""

from __future__ import annotations

import sys

from maskwright.comparison.command import main

if __name__ == "__main__":
    sys.exit(main())
