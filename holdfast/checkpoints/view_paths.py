"""Where staged views of checkpoints lie, and how such a path tells the digest of what it holds.

`HOME/views/<one worker's>/<64 hex of the digest>`: a view never holds other content, since engines
cache by path. The part that is the worker's changes from run to run, the digest does not.
"""

import re
from pathlib import Path

VIEWS = "views"
IN_JSON = re.compile(r'"(?:[^"\\]|\\.)*/views/[^/"\\]+/([0-9a-f]{64})"')
HEX = re.compile(r"[0-9a-f]{64}")


def digest_of_view(folder: Path) -> str | None:
    """The digest `sha256:…` of what a staged view holds; None for any other folder."""
    staged = folder.parent.parent.name == VIEWS and HEX.fullmatch(folder.name)
    return f"sha256:{folder.name}" if staged else None


def without_places(document: str) -> str:
    """JSON in which every path of a view is its digest alone."""
    return IN_JSON.sub(r'"\1"', document)
