"""Files in the forms that sets are published in."""

import csv
import io
import json
from pathlib import Path
from typing import Any

Fields = dict[str, Any]


def write(path: Path, rows: list[Fields]) -> Path:
    """A file in the form that its name says."""
    if path.suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(text.getvalue(), newline="")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=2))
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path
