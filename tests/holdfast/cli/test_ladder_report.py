"""A repair's report: how it ended, whether it was a ladder or a single one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.wire import Candidate, Remediation
from holdfast.cli.front_table import COMPROMISE, no_repair
from holdfast.cli.ladder_report import FORMATS, ladder_report
from holdfast.job import Status
from holdfast.ladder.front import Scores
from holdfast.repairs.compromise import Compromise, compromise_of

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


def candidate(recipe: str, **measures: float | None) -> Candidate:
    return Candidate(
        id="rem_2",
        recipe=recipe,
        options={},
        status=Status.SUCCEEDED,
        error=None,
        dropped=None,
        verdict="pass",
        resisted=(),
        confirmed=None,
        scores=Scores(safety=0.1, over_refusal=0.2),
        pareto=True,
        chosen=False,
        seconds=60.0,
        tokens=1,
        checkpoint="ckpt_1",
        screen_evaluation=None,
        confirm_evaluation=None,
        compromise=Compromise(**measures) if measures else None,
    )


@pytest.mark.parametrize("form", FORMATS)
def test_recipes_with_two_objectives_have_a_table_of_their_own(form: str) -> None:
    ladder = repair("auto", Status.SUCCEEDED, step={"found": "rem_2"})
    mix = candidate("mix", task_loss=0.51, hypervolume=7.77, time_beside_plain=1.83)
    report = ladder_report(ladder, (candidate("graft"), mix), form)
    assert COMPROMISE.partition(" (")[0] in report
    for number in ("0.51", "7.77", "1.83"):
        assert report.count(number) == 1
    without = ladder_report(ladder, (candidate("graft"),), form)
    assert report.count("graft") == without.count("graft")
    assert COMPROMISE.partition(" (")[0] not in without


@pytest.mark.parametrize(
    ("progress", "known"),
    [
        ({"event": "done", "preference_loss": 0.4, "task_loss": 1.0, "output": "/o"}, True),
        ({"event": "done", "final_loss": 0.4}, False),
        ({"event": "step", "preference_loss": 0.4}, False),
        ({}, False),
    ],
)
def test_a_compromise_is_told_by_the_end_of_a_run_with_two_losses(
    progress: dict[str, Any], known: bool
) -> None:
    found = compromise_of(progress)
    assert (found is not None) == known
    if found is not None:
        assert (found.task_loss, found.preference_loss, found.ideal_distance) == (1.0, 0.4, None)


def test_the_tables_of_a_pull_request_are_tables() -> None:
    ladder = repair("auto", Status.SUCCEEDED, step={"found": "rem_2"})
    report = ladder_report(ladder, (candidate("mix", preference_loss=0.4),), "md")
    lines = report.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("| try")]
    assert len(heads) == 2
    for number in heads:
        columns = lines[number].count("|") - 1
        assert lines[number + 1] == f"|{'---|' * columns}"
        assert lines[number + 2].count("|") - 1 == columns
