"""Clear up after repairs that ended without their worker: half checkpoints, states, pairs.

A worker clears up after its own jobs. One that was killed cannot, and where its job was canceled or
timed out before anybody took it over, nobody would; so every worker looks when it starts and when
it finds nothing to do. What is kept to go on with is not touched before the job has ended.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from holdfast.db.session import reading
from holdfast.db.tables import JobRow
from holdfast.job import FINISHED
from workers.checkpoints.plan_files import VIEWED
from workers.worker import Worker

STATE = "state"  # the folder in a workspace from which a killed run goes on
PAIRS = "pairs.jsonl"  # in a workspace; it holds the candidate's bad answers
REPAIR = re.compile(r"rem_[0-9a-f]{32}")


def clear_ended(worker: Worker) -> None:
    """Remove what is left of repairs that have ended."""
    home = worker.settings.home
    names = set(_repairs_with_leftovers(home))
    if not names:
        return
    with reading(worker.database) as session:
        jobs = [session.get(JobRow, name) for name in names]
        over = [job.id for job in jobs if job is not None and job.status in FINISHED]
    for name in over:
        clear(home, name)


def _repairs_with_leftovers(home: Path) -> Iterator[str]:
    """The repairs that something is left of, ended or not."""
    half = (home / "checkpoints").glob(".rem_*.partial")
    workspaces = (
        path.parent for name in (STATE, PAIRS, VIEWED) for path in (home / "work").glob(f"*/{name}")
    )
    for path in (*half, *workspaces):
        if (named := REPAIR.search(path.name)) is not None:
            yield named[0]


def clear(home: Path, remediation_id: str) -> None:
    """Remove everything of a repair that is neither its checkpoint nor its plan."""
    clear_partial(home, remediation_id)
    workspace = home / "work" / remediation_id
    shutil.rmtree(workspace / STATE, ignore_errors=True)
    for name in (PAIRS, VIEWED):
        (workspace / name).unlink(missing_ok=True)


def clear_partial(home: Path, remediation_id: str) -> None:
    """Remove what a killed child left; an adapter too, where it has no checkpoint beside it."""
    made = home / "checkpoints"
    folders = [*made.glob(f".{remediation_id}*.partial")]
    if not (made / remediation_id).exists():
        folders.append(made / f"{remediation_id}-adapter")
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
