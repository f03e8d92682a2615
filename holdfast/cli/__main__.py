"""`python -m holdfast.cli`: how the embedded stack starts its children."""

import sys

from holdfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
