"""Loading a staged checkpoint, so that what answers is exactly what was hashed.

Files can be written over in place, also while a model that maps them is open. So it is looked at
again after every load and before every answer that is kept; what was touched is loaded anew, and
what holds another content answers nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import CheckpointRefused, CheckpointTouched, HoldfastError
from workers.views import StagedCheckpoint
from workers.worker import Worker

LOADS = 3  # a copy of the same files over themselves touches each of them once


def examine(worker: Worker, checkpoint: StagedCheckpoint) -> None:
    """Raise CheckpointRefused where its files make no model."""
    with naming_sources(checkpoint):
        worker.engine.examine(checkpoint.path)


def load(worker: Worker, checkpoint: StagedCheckpoint, template: str | None) -> None:
    """Open a checkpoint in the engine, again where its files were touched meanwhile."""
    for _ in range(LOADS):
        with naming_sources(checkpoint):
            worker.engine.open(checkpoint.path, template)
        if untouched(worker, checkpoint):
            return
    raise touched_error(checkpoint)


@contextmanager
def naming_sources(*checkpoints: StagedCheckpoint) -> Iterator[None]:
    """Errors of the block name the folders that were submitted, and not their views."""
    try:
        yield
    except HoldfastError as error:
        text = str(error)
        for checkpoint in checkpoints:
            text = text.replace(str(checkpoint.path), str(checkpoint.ref.path))
        if text == str(error):
            raise
        raise type(error)(text) from error


def require_untouched(worker: Worker, checkpoint: StagedCheckpoint) -> None:
    """Raise unless the files behind a checkpoint are as they were when it was loaded."""
    if not untouched(worker, checkpoint):
        raise touched_error(checkpoint)


def untouched(worker: Worker, checkpoint: StagedCheckpoint) -> bool:
    """Whether the files are as they were loaded; the engine is closed if their content changed."""
    try:
        return checkpoint.view.untouched()
    except CheckpointRefused:
        worker.engine.close()
        raise


def touched_error(checkpoint: StagedCheckpoint) -> CheckpointTouched:
    """The error for a checkpoint whose files are touched at every load."""
    return CheckpointTouched(
        f"the files of {checkpoint.ref.path} were touched while they were in use, their content "
        "being the same; it is loaded again"
    )
