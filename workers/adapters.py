"""A checkpoint that comes as base and adapter: merged once a digest, and whole from then on.

The engine, the evidence and every repair see a folder with the weights' sums and the registered
digest, which covers base and adapter. A training child merges, as it carries out every plan. The
folder is a cache of ours: whatever stands there without being what was merged is made again.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from holdfast.checkpoint import CheckpointRef, admit, verify_unchanged
from holdfast.errors import CheckpointRefused
from holdfast.remediation import Plan
from workers.worker import Worker

FOLDER = "merged"


def whole(worker: Worker, ref: CheckpointRef) -> CheckpointRef:
    """The merged folder of a base and its adapter, under their own name and digest."""
    folder = worker.settings.home / FOLDER / ref.digest.removeprefix("sha256:")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".digest")) as kept:
        found = cached(folder, kept.read())
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            found = merged(worker, ref, folder)
            kept.seek(0)
            kept.truncate()
            kept.write(found.digest)
    return replace(found, name=ref.name, digest=ref.digest)


@contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """The file, at its start, for one worker of this machine at a time."""
    with path.open("a+", encoding="utf-8") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        opened.seek(0)
        yield opened


def cached(folder: Path, digest: str) -> CheckpointRef | None:
    """The merged folder, if it is still what was merged."""
    if not digest or not folder.is_dir():
        return None
    try:
        found = admit(str(folder), [folder.parent])
    except CheckpointRefused:
        return None
    return found if found.digest == digest else None


def merged(worker: Worker, ref: CheckpointRef, folder: Path) -> CheckpointRef:
    """Have a child merge what was admitted; CheckpointRefused if it changed meanwhile."""
    plan = Plan(recipe="merge_adapter", baseline=ref.path, adapter=ref.adapter, output=folder)
    workspace = worker.settings.home / "work" / f"merge-{folder.name[:32]}"
    workspace.mkdir(parents=True, exist_ok=True)
    file = workspace / "plan.json"
    file.write_text(plan.model_dump_json(indent=2))
    for _ in worker.training.run(file):
        pass
    verify_unchanged(ref)
    return admit(str(folder), [folder.parent])
