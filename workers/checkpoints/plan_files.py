"""A plan as two files: one that names the user's folders and stays, one that the child reads.

The child reads staged views, which end with the job; a person who repeats the plan by hand has the
folders.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.repairs.plan import Plan
from holdfast.settings import make_folder

PLAN = "plan.json"
VIEWED = "on-views.json"


@contextmanager
def write_plan(workspace: Path, plan: Plan, viewed: Plan) -> Iterator[Path]:
    """Write a plan into `workspace`, and as long as the block lasts the file that a child reads."""
    make_folder(workspace)
    (workspace / PLAN).write_text(plan.model_dump_json(indent=2))
    file = workspace / VIEWED
    file.write_text(viewed.model_dump_json(indent=2))
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
