"""What lies in folders, so that a test can say that it was not touched."""

import hashlib
from pathlib import Path


def contents(*places: Path) -> dict[Path, str]:
    """The digest of every file in these folders, and of the files among them."""
    files = [
        file
        for place in places
        for file in (sorted(place.rglob("*")) if place.is_dir() else [place])
        if file.is_file()
    ]
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
