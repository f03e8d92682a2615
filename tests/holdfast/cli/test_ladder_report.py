"""A repair's report: how it ended, whether it was a ladder or a single one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.wire import Remediation
from holdfast.cli.ladder_report import ladder_report
from holdfast.cli.repairs import no_repair
from holdfast.job import Status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BECAUSE = "no repair found: all rungs were tried"


def repair(recipe: str, status: Status, **progress: Any) -> Remediation:
    return Remediation(
        id="rem_1",
        project="default",
        priority=0,
        deadline_at=NOW,
        status=status,
        created_at=NOW,
        started_at=None,
        finished_at=None,
        attempts=1,
        error=None,
        evaluation="eval_1",
        recipe=recipe,
        options={},
        plan=None,
        progress=progress,
        checkpoint=None,
        child_evaluation=None,
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (repair("auto", Status.FAILED, step={"found": None, "because": BECAUSE}), BECAUSE),
        (repair("auto", Status.RUNNING, step={"wait": True}), None),
        (repair("auto", Status.SUCCEEDED, step={"found": "rem_2", "because": "it passed"}), None),
        (repair("rehearsal", Status.RUNNING, event="step", step=3, steps=60), None),
        (repair("rehearsal", Status.CANCELED), None),
    ],
)
def test_only_a_ladder_that_ended_without_one_has_no_repair(
    given: Remediation, sentence: str | None
) -> None:
    assert no_repair(given) == sentence


def test_a_single_repair_is_reported_while_it_trains() -> None:
    training = repair("rehearsal", Status.RUNNING, event="step", step=3, steps=60)
    assert "rem_1 is running" in ladder_report(training, (), "html")
