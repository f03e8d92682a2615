"""A checkpoint that comes as base and adapter: merged once a digest, and whole from then on.

The engine, the evidence and every repair see a folder with the weights' sums and the registered
digest, which covers base and adapter. A training child merges, as it carries out every plan. The
folder is a cache of ours: whatever stands there without being what was merged is made again, and
what nobody has used for longer than any job may take is removed when the next one is merged.
"""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from holdfast.checkpoints.adapter import AdmittedCheckpoint
from holdfast.checkpoints.checkpoint import (
    CheckpointRef,
    admit,
    admitted_model,
    ref_of,
    verify_unchanged,
)
from holdfast.errors import CheckpointRefused
from holdfast.projects.retention.merged import FOLDER, UNUSED_SECONDS
from holdfast.repairs.plan import Plan
from holdfast.settings import make_folder
from workers.checkpoints.loading import naming_sources, require_untouched
from workers.checkpoints.plan_files import write_plan
from workers.views import StagedCheckpoint
from workers.worker import Worker


def merged_checkpoint(worker: Worker, pair: AdmittedCheckpoint) -> StagedCheckpoint:
    """The merged folder of an open base and its adapter, under their own name and digest."""
    ref = pair.ref
    folder = worker.settings.home / FOLDER / ref.digest.removeprefix("sha256:")
    make_folder(folder.parent)
    record = folder.with_suffix(".digest")
    with lock_file(record) as digest_file:
        record.touch()
        if find_merged(folder, digest := digest_file.read()) is None:
            forget_unused(folder.parent, time.time() - UNUSED_SECONDS)
            shutil.rmtree(folder, ignore_errors=True)
            digest = merge(worker, pair, folder)
            digest_file.seek(0)
            digest_file.truncate()
            digest_file.write(digest)
        return stage_merged(worker, folder, digest, ref)


def stage_merged(
    worker: Worker, folder: Path, digest: str, pair: CheckpointRef
) -> StagedCheckpoint:
    """The view of a merged folder that holds `digest`, known as the pair that it was made of."""
    with ExitStack() as descriptors:
        admitted = admitted_model(str(folder), [folder.parent], descriptors)
        ref = ref_of(admitted)
        if ref.digest != digest:
            raise CheckpointRefused(f"{folder} was changed after it was merged; try again")
        return worker.views.stage(replace(ref, name=pair.name, digest=pair.digest), admitted)


@contextmanager
def lock_file(path: Path) -> Iterator[IO[str]]:
    """Open the file at its start, for one worker of this machine at a time."""
    with path.open("a+", encoding="utf-8") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        opened.seek(0)
        yield opened


def forget_unused(parent: Path, before: float) -> None:
    """Remove the merged folders that no worker has asked for since `before`, a time in seconds."""
    for record in parent.glob("*.digest"):
        if record.stat().st_mtime >= before:
            continue
        with record.open("a", encoding="utf-8") as opened, suppress(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opened.truncate(0)
            shutil.rmtree(record.with_suffix(""), ignore_errors=True)


def find_merged(folder: Path, digest: str) -> CheckpointRef | None:
    """The checkpoint in the merged folder, if it still has this digest."""
    if not digest or not folder.is_dir():
        return None
    try:
        ref = admit(str(folder), [folder.parent])
    except CheckpointRefused:
        return None
    return ref if ref.digest == digest else None


def merge(worker: Worker, pair: AdmittedCheckpoint, folder: Path) -> str:
    """Have a child merge what was admitted, and return the digest of the sum.

    Raises CheckpointRefused if either changed meanwhile.
    """
    base, adapter = parts(worker, pair)
    plan = Plan(
        recipe="merge_adapter", baseline=base.ref.path, adapter=adapter.ref.path, output=folder
    )
    viewed = plan.model_copy(update={"baseline": base.path, "adapter": adapter.path})
    workspace = worker.settings.home / "work" / f"merge-{folder.name[:32]}"
    with naming_sources(base, adapter), write_plan(workspace, plan, viewed) as file:
        for _ in worker.training.run(file):
            pass
    for part in (base, adapter):
        require_untouched(worker, part)
    verify_unchanged(pair.ref)
    return admit(str(folder), [folder.parent]).digest


def parts(worker: Worker, pair: AdmittedCheckpoint) -> tuple[StagedCheckpoint, StagedCheckpoint]:
    """The views of a base and of its adapter."""
    if pair.adapter is None:
        raise ValueError(f"{pair.ref.path} has no adapter to merge")
    adapter = replace(pair.ref, path=pair.adapter.path)
    return worker.views.stage(pair.ref, pair.model), worker.views.stage(adapter, pair.adapter)
