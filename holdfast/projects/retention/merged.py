"""Merged adapters are removed when nobody has used them for long: a cache, which is made again.

`merged/DIGEST` holds the weights of a base with its adapter, and `merged/DIGEST.digest` what they
came to; workers lock and touch that file at every use, and empty it before they merge anew.
"""

import fcntl
import time
from contextlib import suppress
from pathlib import Path

from holdfast.job import DEADLINE_SECONDS
from holdfast.projects.retention.job_files import rename_away, size_of
from holdfast.projects.retention.removed import Removed, Run

FOLDER = "merged"  # in the data folder
UNUSED_SECONDS = 2 * DEADLINE_SECONDS  # no job that has opened it runs any more


def prune_merged(run: Run) -> Removed:
    """Remove the merged weights that no worker has asked for since the age, or half a day."""
    before = min(run.before.timestamp(), time.time() - UNUSED_SECONDS)
    records = sorted((run.home / FOLDER).glob("*.digest"))
    return sum((_prune_folder(run, record, before) for record in records), Removed())


def _prune_folder(run: Run, record: Path, before: float) -> Removed:
    """Prune what one record is of; whoever holds it uses it now."""
    folder = record.with_suffix("")
    try:
        with record.open("a", encoding="utf-8") as opened, suppress(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if record.stat().st_mtime < before and folder.is_dir():
                amount = size_of([folder])
                if not run.dry_run:
                    rename_away([folder])
                    opened.truncate(0)
                return amount
    except OSError as error:
        run.problems.append(f"{folder} cannot be removed: {error}")
    return Removed()
