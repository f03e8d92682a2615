"""Pages: every row once, in one order, at any size, and nothing of anybody else's."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Engine

from holdfast.db import browse
from holdfast.db.session import reading
from holdfast.db.tables import JobRow, TrialRow
from holdfast.evidence.trial import Measure, Trial, scored, unscored
from holdfast.job import FINISHED, Status
from tests.holdfast.db.rows import (
    add_evaluation,
    add_findings,
    add_remediation,
    change_job,
)

Key = tuple[str, ...]
List = Callable[..., Sequence[tuple[JobRow, Any]]]
LISTS: dict[str, List] = {
    "evaluations": browse.list_evaluations,
    "remediations": browse.list_remediations,
}


def ids_of(database: Engine, listed: List, *, limit: int = 100, **how: Any) -> list[str]:
    with reading(database) as session:
        return [job.id for job, _ in listed(session, "p", limit=limit, **how)]


def add_job(database: Engine, kind: str, project: str = "p") -> str:
    evaluation = add_evaluation(database, project=project)
    return evaluation if kind == "evaluations" else add_remediation(database, evaluation)


def add_jobs(database: Engine, kind: str, count: int) -> list[str]:
    """So many jobs of a kind, newest first."""
    return sorted((add_job(database, kind) for _ in range(count)), reverse=True)


# --- jobs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LISTS)
def test_pages_of_jobs_newest_first(filled: Engine, kind: str) -> None:
    ids, listed = add_jobs(filled, kind, 5), LISTS[kind]
    assert ids_of(filled, listed) == ids
    assert ids_of(filled, listed, limit=2) == ids[:2]
    assert ids_of(filled, listed, limit=2, before=ids[1]) == ids[2:4]
    assert ids_of(filled, listed, before=ids[-1]) == []


@pytest.mark.parametrize("kind", LISTS)
def test_a_page_may_begin_at_a_row_that_is_not_in_the_list(filled: Engine, kind: str) -> None:
    ids = add_jobs(filled, kind, 2)
    foreign = add_job(filled, kind, "q")
    older = [job_id for job_id in ids if job_id < foreign]
    assert ids_of(filled, LISTS[kind], before=foreign) == older


@pytest.mark.parametrize("kind", LISTS)
def test_rows_that_come_while_somebody_reads_are_on_no_later_page(
    filled: Engine, kind: str
) -> None:
    ids, listed = add_jobs(filled, kind, 3), LISTS[kind]
    first = ids_of(filled, listed, limit=1)
    add_jobs(filled, kind, 2)
    rest = ids_of(filled, listed, before=first[-1])
    assert [job_id for job_id in (*first, *rest) if job_id in ids] == ids


def test_each_list_has_its_kind_of_job_and_what_that_is_about(filled: Engine) -> None:
    evaluation = add_evaluation(filled, tier="full")
    repair = add_remediation(filled, evaluation, recipe="hma")
    with reading(filled) as session:
        ((job, about),) = browse.list_evaluations(session, "p", limit=9)
        ((repair_job, plan),) = browse.list_remediations(session, "p", limit=9)
    assert (job.id, about.id, about.tier) == (evaluation, evaluation, "full")
    assert (repair_job.id, plan.id, plan.recipe) == (repair, repair, "hma")


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS)
def test_a_project_sees_its_jobs_alone(filled: Engine, listed: List) -> None:
    for project in ("p", "q", "q"):
        add_remediation(filled, add_evaluation(filled, project=project))
    with reading(filled) as session:
        counts = [len(listed(session, name, limit=9)) for name in ("p", "q", "none")]
    assert counts == [1, 2, 0]


@pytest.mark.parametrize("status", sorted(Status))
def test_a_job_counts_until_it_is_over(filled: Engine, job_id: str, status: Status) -> None:
    change_job(filled, job_id, status=status.value)
    with reading(filled) as session:
        assert browse.count_unfinished(session, "p") == (status not in FINISHED)


def test_repairs_count_as_unfinished_jobs_and_those_of_others_do_not(filled: Engine) -> None:
    add_remediation(filled, add_evaluation(filled))
    add_evaluation(filled, project="q")
    with reading(filled) as session:
        counts = [browse.count_unfinished(session, name) for name in ("p", "q", "none")]
    assert counts == [2, 1, 0]


def test_repairs_stand_under_their_evaluations_oldest_first(filled: Engine) -> None:
    first, second, third, left_out = (add_evaluation(filled) for _ in range(4))
    repairs = {
        name: sorted(add_remediation(filled, name) for _ in range(count))
        for name, count in [(first, 3), (second, 1), (third, 0), (left_out, 1)]
    }
    add_remediation(filled, first, parent_id=repairs[first][0])  # a try is its ladder's
    with reading(filled) as session:
        grouped = browse.repairs_by_evaluation(session, [third, second, first])
    ids = {name: [row.id for row in rows] for name, rows in grouped.items()}
    assert ids == {name: repairs[name] for name in (first, second, third)}


def test_no_evaluations_have_no_repairs(database: Engine) -> None:
    with reading(database) as session:
        assert browse.repairs_by_evaluation(session, []) == {}


# --- items ----------------------------------------------------------------------------------

PROBES = ("harm.direct", "refusal.benign")
ITEMS = ("a", "a-1", "b")  # where one name begins another, the order of parts shows


def trial(probe: str, item: str, badness: float | None = 0.0, *, variant: str = "plain") -> Trial:
    if badness is None:
        return unscored(probe, item, item, "no words", variant=variant)
    return scored(probe, item, item, badness, variant=variant)


@pytest.fixture
def answered(filled: Engine, job_id: str) -> str:
    """An evaluation with 2 probes, 3 items, 2 variants and 2 sides, saved in disorder."""
    findings = [
        trial(probe, item, variant=variant)
        for probe, item, variant in product(PROBES, ITEMS, ("plain", "past-tense"))
    ]
    for side in ("candidate", "baseline"):
        add_findings(filled, job_id, side, reversed(findings))
    add_findings(filled, add_evaluation(filled), "candidate", findings)
    return job_id


def key_of(row: TrialRow) -> Key:
    return row.probe, row.item, row.variant, row.side


def items_of(
    database: Engine, evaluation_id: str, *, limit: int = 100, after: Key | None = None, **only: Any
) -> list[Key]:
    with reading(database) as session:
        rows = browse.list_items(session, evaluation_id, limit=limit, after=after, only=only)
        assert {row.evaluation_id for row in rows} <= {evaluation_id}
        return [key_of(row) for row in rows]


def test_items_in_the_order_of_their_keys(filled: Engine, answered: str) -> None:
    keys = items_of(filled, answered)
    assert len(keys) == 24
    assert keys == sorted(keys)


@pytest.mark.parametrize("limit", [1, 5, 24])
def test_pages_of_any_size_hold_every_item_once(filled: Engine, answered: str, limit: int) -> None:
    keys: list[Key] = []
    while page := items_of(filled, answered, limit=limit, after=keys[-1] if keys else None):
        assert len(page) <= limit
        keys += page
    assert keys == items_of(filled, answered)


def test_a_page_begins_after_a_key_as_a_whole(filled: Engine, answered: str) -> None:
    """Not where every part is greater: the last side of an item is followed by the next item."""
    last = ("harm.direct", "b", "plain", "candidate")
    assert items_of(filled, answered, limit=1, after=last) == [
        ("refusal.benign", "a", "past-tense", "baseline")
    ]


@pytest.mark.parametrize(
    ("only", "count"),
    [
        ({"probe": "harm.direct"}, 12),
        ({"side": "candidate"}, 12),
        ({"item": "a"}, 8),
        ({"side": "baseline", "variant": "plain", "item": "b"}, 2),
        ({"probe": None, "side": None}, 24),
        ({"probe": "harm.direct", "side": None}, 12),
        ({"side": "anchor"}, 0),
    ],
)
def test_items_with_these_values_and_of_none_any(
    filled: Engine, answered: str, only: dict[str, Any], count: int
) -> None:
    keys = items_of(filled, answered, **only)
    assert len(keys) == count
    wanted = {value for value in only.values() if value is not None}
    assert all(wanted <= set(key) for key in keys)


def test_a_filter_holds_on_every_page(filled: Engine, answered: str) -> None:
    last = ("harm.direct", "a-1", "plain", "candidate")
    keys = items_of(filled, answered, after=last, side="candidate", variant="plain")
    assert [key[:2] for key in keys] == [
        ("harm.direct", "b"),
        *(("refusal.benign", item) for item in ITEMS),
    ]


def test_items_by_what_came_of_them(filled: Engine, job_id: str) -> None:
    badness = {"a": 1.0, "b": 0.0, "c": None, "d": 0.5}
    findings = [trial("harm.direct", item, value) for item, value in badness.items()]
    measure = Measure("task.retention", "row-1", 2.5, 3.0, "nats")
    add_findings(filled, job_id, "candidate", [*findings, measure])
    by_outcome = {
        outcome: [key[1] for key in items_of(filled, job_id, outcome=outcome)]
        for outcome in ("bad", "ok", "unscored")
    }
    assert by_outcome == {"bad": ["a", "d"], "ok": ["b"], "unscored": ["c"]}
    assert items_of(filled, job_id)[-1] == ("task.retention", "row-1", "plain", "candidate")


# --- flips ----------------------------------------------------------------------------------


def flips_of(
    database: Engine, evaluation_id: str, *, limit: int = 100, **how: Any
) -> list[tuple[str, str, str | None, str | None]]:
    with reading(database) as session:
        flips = browse.list_flips(session, evaluation_id, limit=limit, **how)
        assert {(before.side, now.side) for before, now in flips} <= {("baseline", "candidate")}
        return [(now.item, now.variant, before.outcome, now.outcome) for before, now in flips]


def add_sides(database: Engine, evaluation_id: str, **sides: dict[str, float | None]) -> None:
    for side, badness in sides.items():
        findings = [trial("harm.direct", item, value) for item, value in badness.items()]
        add_findings(database, evaluation_id, side, findings)


def test_what_flipped_and_nothing_else(filled: Engine, job_id: str) -> None:
    before = {"a": 0.0, "b": 1.0, "c": 0.0, "d": None, "e": 1.0, "f": None, "only-before": 0.0}
    after = {"a": 1.0, "b": 0.0, "c": 0.2, "d": 0.0, "e": None, "f": None, "only-after": 1.0}
    add_sides(filled, job_id, baseline=before, candidate=after)
    assert flips_of(filled, job_id) == [
        ("a", "plain", "ok", "bad"),
        ("b", "plain", "bad", "ok"),
        ("d", "plain", "unscored", "ok"),
        ("e", "plain", "bad", "unscored"),
    ]


def test_other_sides_and_other_evaluations_flip_nothing(filled: Engine, job_id: str) -> None:
    add_sides(filled, job_id, baseline={"a": 0.0}, repaired={"a": 1.0}, anchor={"a": 1.0})
    add_sides(filled, add_evaluation(filled), candidate={"a": 1.0})
    assert flips_of(filled, job_id) == []


def test_a_form_flips_against_the_same_form(filled: Engine, job_id: str) -> None:
    forms = [("baseline", 0.0, 1.0), ("candidate", 0.0, 0.0)]
    for side, plain, past in forms:
        findings = [
            trial("harm.jailbreak", "a", plain),
            trial("harm.jailbreak", "a", past, variant="past-tense"),
        ]
        add_findings(filled, job_id, side, findings)
    assert flips_of(filled, job_id) == [("a", "past-tense", "bad", "ok")]


def test_a_measure_has_no_outcome_that_could_flip(filled: Engine, job_id: str) -> None:
    for side, value in [("baseline", 1.0), ("candidate", 9.0)]:
        measure = Measure("task.retention", "row-1", value, 3.0, "nats")
        add_findings(filled, job_id, side, [measure])
    assert flips_of(filled, job_id) == []


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_of_flips_hold_each_once(filled: Engine, job_id: str, limit: int) -> None:
    items = ["a", "a-1", "b", "c"]
    add_sides(
        filled, job_id, baseline=dict.fromkeys(items, 0.0), candidate=dict.fromkeys(items, 1.0)
    )
    seen: list[str] = []
    after: Key | None = None
    while page := flips_of(filled, job_id, limit=limit, after=after):
        assert len(page) <= limit
        seen += [flip[0] for flip in page]
        after = ("harm.direct", page[-1][0], page[-1][1])
    assert seen == items


def test_flips_of_one_probe(filled: Engine, job_id: str) -> None:
    for side, badness in [("baseline", 0.0), ("candidate", 1.0)]:
        add_findings(filled, job_id, side, [trial(probe, "a", badness) for probe in PROBES])
    assert len(flips_of(filled, job_id)) == 2
    assert len(flips_of(filled, job_id, probe="refusal.benign")) == 1
    assert flips_of(filled, job_id, probe="refusal") == []
    assert flips_of(filled, job_id, probe="harm.direct", after=("harm.direct", "a", "plain")) == []


@pytest.mark.parametrize(
    ("before", "after", "meaning"),
    [
        ("ok", "bad", "worse"),
        ("bad", "ok", "fixed"),
        ("unscored", "bad", "unscored"),
        ("bad", "unscored", "unscored"),
        ("unscored", "ok", "unscored"),
    ],
)
def test_a_flip_with_a_side_that_has_no_score_is_neither_worse_nor_fixed(
    before: str, after: str, meaning: str
) -> None:
    assert browse.direction(before, after) == meaning
