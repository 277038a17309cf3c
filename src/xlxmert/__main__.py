"""``python -m xlxmert``: the command line."""

import sys

from xlxmert.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
