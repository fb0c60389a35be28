"""`python -m fulmen.cli`: the `lightning` command of this Python, whatever scripts there are."""

import sys

from fulmen.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
