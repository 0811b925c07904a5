"""`python main.py --mode train --ini config.ini`: the whole program."""

import sys

from csi_predictor.cli import main

if __name__ == "__main__":
    sys.exit(main())
