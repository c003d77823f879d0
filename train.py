"""Train from a configuration: ``python train.py model=cnn data=auto``."""

import os
import sys

# Threads that wait for each other give their cores to whoever needs them; on a busy machine, small
# networks are many times faster so. It has to be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from leyden.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
