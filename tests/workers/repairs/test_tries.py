"""A ladder after others of its project: what repaired a checkpoint that failed so goes first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.db.evaluations import get_evaluation, get_job, get_remediation
from holdfast.db.session import transaction
from holdfast.job import Status
from tests.support.ladders import GOOD, state, work
from tests.support.stack import scripted_checkpoint
from workers.repairs.tries import past_tries
from workers.worker import Worker

SCRIPTS = {"wise_ft 0.4": GOOD}


def tried(worker: Worker, ladder: str) -> list[str]:
    """The rungs of a ladder that has been climbed, in the order of their tries."""
    work(worker, SCRIPTS)
    job, _, tries = state(worker, ladder)
    assert job.status == "succeeded", job.error
    return [" ".join(map(str, (t.repair.recipe, *t.repair.options.values()))) for t in tries]


def test_what_repaired_another_checkpoint_goes_first_and_the_progress_says_so(
    worker: Worker, climb: Callable[..., str], models: Path
) -> None:
    scripted_checkpoint(models / "second", 7.0, refuse_share=0.25, loss=0.5)
    assert tried(worker, climb()) == ["ptst", "wise_ft 0.6", "wise_ft 0.4"]
    second = climb(candidate="second")
    assert tried(worker, second) == ["wise_ft 0.4"]
    _, row, _ = state(worker, second)
    assert row.progress["first"] == [
        {"recipe": "wise_ft (candidate_weight 0.4)", "repaired": 1, "tries": 1}
    ]


def test_the_same_checkpoint_another_project_and_another_kind_of_failure_count_for_nothing(
    worker: Worker, climb: Callable[..., str], models: Path
) -> None:
    scripted_checkpoint(models / "second", 7.0, refuse_share=0.25, loss=0.5)
    scripted_checkpoint(models / "mute", 8.0, behaviour="refuse-all")
    tried(worker, climb())
    given: list[tuple[dict[str, Any], bool]] = [
        ({}, False),
        ({"candidate": "second", "project": "q"}, False),
        ({"candidate": "mute"}, False),
        ({"candidate": "second"}, True),
    ]
    for each, has_past in given:
        ladder = climb(**each)
        with transaction(worker.database) as session:
            row = get_remediation(session, ladder)
            past = past_tries(session, row, get_evaluation(session, row.evaluation_id))
            get_job(session, ladder).status = Status.CANCELED.value
        assert bool(past) is has_past, each
