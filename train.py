"""Train from a configuration: ``python train.py model=cnn data=auto``."""

import sys

from leyden.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
