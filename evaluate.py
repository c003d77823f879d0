"""Evaluate a run from a configuration: ``python evaluate.py run=RUN split=test``."""

import os
import sys

# See train.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from leyden.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
