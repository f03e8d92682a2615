"""Answers and trials: written once whoever comes again, and read back as they were."""

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from holdfast.db import jobs, trials
from holdfast.db.session import reading, transaction
from holdfast.db.sweep import sweep_jobs
from holdfast.db.tables import AnswerRow, TrialRow
from holdfast.db.trials import MEASURE_WITH_TRIAL, PAGE, Saved
from holdfast.errors import LeaseLost
from holdfast.evidence.file import gather
from holdfast.evidence.trial import Measure, Trial, says_nothing, scored, unscored
from tests.holdfast.db.rows import (
    add_evaluation,
    add_findings,
    ago,
    change_job,
    claim,
    lease_of,
)
from tests.support.evidence import manifest

HARM = "harm.direct"


def save(
    database: Engine, answers: Iterable[tuple[str, dict[str, Any]]], digest: str = "d"
) -> None:
    with transaction(database) as session:
        trials.save_answers(session, digest, answers)


def find(database: Engine, *keys: str) -> dict[str, dict[str, Any]]:
    with reading(database) as session:
        return trials.find_answers(session, keys)


def rows_of(database: Engine, evaluation_id: str, side: str = "candidate") -> list[TrialRow]:
    with reading(database) as session:
        return list(trials.trial_rows(session, evaluation_id, side))


# --- answers --------------------------------------------------------------------------------


def test_answers_are_found_by_their_keys_alone(database: Engine) -> None:
    save(database, [(key, {"text": key.upper()}) for key in "abc"])
    assert find(database, "c", "a", "x") == {"a": {"text": "A"}, "c": {"text": "C"}}
    assert find(database) == {}
    assert find(database, "a", "a") == {"a": {"text": "A"}}


def test_the_first_answer_stays(database: Engine) -> None:
    """Two workers of one evaluation may ask the same question; trials are of the first answer."""
    save(database, [("k", {"text": "first"})], digest="sha256:1")
    save(database, [("k", {"text": "second"}), ("l", {"text": "new"})], digest="sha256:2")
    assert find(database, "k", "l") == {"k": {"text": "first"}, "l": {"text": "new"}}
    with reading(database) as session:
        assert session.get_one(AnswerRow, "k").checkpoint_digest == "sha256:1"


def test_one_batch_may_hold_a_key_twice(database: Engine) -> None:
    save(database, [("k", {"text": "first"}), ("k", {"text": "second"})])
    assert find(database, "k") == {"k": {"text": "first"}}


@pytest.mark.parametrize("count", [0, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 1])
def test_more_answers_than_a_statement_takes(database: Engine, count: int) -> None:
    answers = {f"key-{number}": {"number": number} for number in range(count)}
    save(database, answers.items())
    assert find(database, *answers) == answers


DOCUMENTS: list[dict[str, Any]] = [
    {"text": "Grüße, 你好, 🙂"},
    {"text": 'a "quoted" \\ path\nand a tab\t'},
    {"text": "\x01\x7f\ufffd\u2028"},
    {"text": "what a model says may hold \0, and half a pair, \ud800"},
    {"text": "what no database holds: \0 \ud800 \udfff, and \u241b0000, which is none of it"},
    {"\0": [["\0"], "\ud83d"]},
    {"replies": [{"logprob": None, "tokens": 0, "greedy": False}], "empty": {}},
    {"logprob": -1.0000000000000002, "tiny": 5e-324, "large": 2**53 - 1},
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_comes_back_as_it_was(database: Engine, document: dict[str, Any]) -> None:
    save(database, [("k", document)])
    assert find(database, "k") == {"k": document}


def test_an_answer_is_dated(database: Engine) -> None:
    save(database, [("k", {})])
    with reading(database) as session:
        created_at = session.get_one(AnswerRow, "k").created_at
    assert ago(60) < created_at <= ago(0)


# --- trials are written once ----------------------------------------------------------------


def test_a_trial_is_judged_once(filled: Engine, job_id: str) -> None:
    for epoch, badness in [(1, 0.0), (2, 1.0)]:
        trial = scored(HARM, "a", "a", badness)
        add_findings(filled, job_id, "candidate", [trial], epoch=epoch)
    (row,) = rows_of(filled, job_id)
    assert (row.outcome, row.badness, row.lease_epoch) == ("ok", 0.0, 1)


def test_a_worker_that_goes_on_adds_only_what_is_missing(filled: Engine, job_id: str) -> None:
    for epoch, items in [(1, "ab"), (2, "abcd")]:
        findings = [scored(HARM, item, item, 0.0) for item in items]
        add_findings(filled, job_id, "candidate", findings, epoch=epoch)
    epochs = {row.item: row.lease_epoch for row in rows_of(filled, job_id)}
    assert epochs == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_a_place_is_an_evaluation_a_side_a_probe_an_item_and_a_variant(
    filled: Engine, job_id: str
) -> None:
    other = add_evaluation(filled)
    trial = scored("harm.jailbreak", "a", "a", 0.0, variant="role-play")
    past = scored("harm.jailbreak", "a", "a", 1.0, variant="past-tense")
    add_findings(filled, job_id, "candidate", [trial, past])
    add_findings(filled, job_id, "baseline", [trial])
    add_findings(filled, other, "candidate", [trial, scored(HARM, "a", "a", 0.0)])
    counts = [
        len(rows_of(filled, *place))
        for place in [(job_id, "candidate"), (job_id, "baseline"), (other, "candidate")]
    ]
    assert counts == [2, 1, 2]


def test_more_trials_than_a_statement_takes(filled: Engine, job_id: str) -> None:
    findings = [scored(HARM, f"i{number:04d}", "c", 0.0) for number in range(2 * PAGE + 1)]
    add_findings(filled, job_id, "candidate", findings)
    assert [row.item for row in rows_of(filled, job_id)] == [trial.item for trial in findings]


def test_the_trials_of_a_worker_that_lost_its_lease_are_not_kept(
    filled: Engine, job_id: str
) -> None:
    lease = claim(filled)
    change_job(filled, job_id, lease_expires_at=ago(1))
    with transaction(filled) as session:
        sweep_jobs(session)

    def save_late() -> None:
        with transaction(filled) as session:
            saved = [Saved(scored(HARM, "a", "a", 1.0), "k")]
            trials.save_trials(session, lease, job_id, "candidate", saved)
            trials.save_answers(session, "d", [("k", {})])
            jobs.fence(session, lease)

    with pytest.raises(LeaseLost):
        save_late()
    assert rows_of(filled, job_id) == []
    assert find(filled, "k") == {}


def test_nothing_to_save_writes_nothing(filled: Engine, job_id: str) -> None:
    add_findings(filled, job_id, "candidate", [])
    with reading(filled) as session:
        assert session.scalar(select(func.count()).select_from(TrialRow)) == 0


# --- what was saved -------------------------------------------------------------------------


def test_saved_items_name_the_answer_of_each(filled: Engine, job_id: str) -> None:
    findings: list[Trial | Measure] = [
        scored(HARM, "a", "a", 0.0),
        scored("harm.jailbreak", "a", "a", 0.0, variant="role-play"),
        Measure("task.retention", "row-1", 1.5, 2.0, "nats"),
    ]
    add_findings(filled, job_id, "candidate", findings)
    add_findings(filled, job_id, "baseline", [scored(HARM, "b", "b", 0.0)])
    with reading(filled) as session:
        saved = trials.saved_items(session, job_id, "candidate")
    assert saved == {
        (HARM, "a", "plain"): "candidate:a",
        ("harm.jailbreak", "a", "role-play"): "candidate:a",
        ("task.retention", "row-1", "plain"): "candidate:row-1",
    }


def test_a_measure_beside_a_trial_has_a_place_of_its_own(filled: Engine, job_id: str) -> None:
    trial = scored("bias.groups", "a", "a", 1.0)
    measure = Measure("bias.groups", "a", 0.25, 1.0, "share")
    add_findings(filled, job_id, "candidate", [trial, measure])
    rows = rows_of(filled, job_id)
    assert [(row.variant, row.outcome) for row in rows] == [
        (MEASURE_WITH_TRIAL, None),
        ("plain", "bad"),
    ]


def test_rows_are_in_order_however_they_were_saved(filled: Engine, job_id: str) -> None:
    places = [(HARM, "b"), ("cap.knowledge", "z"), (HARM, "a"), (HARM, "a-1")]
    add_findings(filled, job_id, "candidate", [scored(*place, "c", 0.0) for place in places])
    with reading(filled) as session:
        if filled.dialect.name == "postgresql":  # whose index would put them in order by chance
            for plan in ("indexscan", "bitmapscan"):
                session.execute(text(f"SET LOCAL enable_{plan} = off"))
        rows = trials.trial_rows(session, job_id, "candidate")
    assert [(row.probe, row.item) for row in rows] == sorted(places)


# --- read back ------------------------------------------------------------------------------

FINDINGS: dict[str, Trial | Measure] = {
    "good": scored(HARM, "a", "cluster-a", 0.0),
    "bad": scored(HARM, "a", "cluster-a", 1.0),
    "between": scored(HARM, "a", "a", 0.1 + 0.2),
    "as exact as it was": scored(HARM, "a", "a", 0.49999999999999994),
    "in a group": scored("bias.groups", "a", "a", 0.5, group="age"),
    "in a form": scored("harm.jailbreak", "a", "a", 1.0, variant="role-play"),
    "without a score": unscored(HARM, "a", "a", "the answer is empty, “leer”"),
    "of odd names": unscored(HARM, "a\0", "b\0", "it says \0", group="\0", variant="\u241b0000"),
    "of noise": says_nothing(scored(HARM, "a", "a", 0.0), "repeats itself"),
    "a loss": Measure("task.retention", "row-1", -1.0000000000000002, 17.0, "nats"),
    "a share": Measure("bias.groups", "a", 1e-300, 0.5, "share"),
}


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=FINDINGS)
def test_evidence_is_read_back_as_it_was_judged(
    filled: Engine, job_id: str, finding: Trial | Measure
) -> None:
    add_findings(filled, job_id, "candidate", [finding])
    with reading(filled) as session:
        evidence = trials.read_back(session, job_id, "candidate", manifest())
    is_trial = isinstance(finding, Trial)
    assert evidence.trials == ((finding,) if is_trial else ())
    assert evidence.measures == (() if is_trial else (finding,))


def test_evidence_has_the_digest_of_what_was_never_stored(filled: Engine, job_id: str) -> None:
    several = [scored(HARM, f"i{number}", "c", number / 7) for number in range(8)]
    measures = [
        Measure("task.retention", f"r{number}", number / 3, 1.0, "nats") for number in (1, 2)
    ]
    add_findings(filled, job_id, "candidate", [*reversed(several), *measures])
    add_findings(filled, job_id, "baseline", [scored(HARM, "i0", "c", 1.0)])
    add_findings(filled, add_evaluation(filled), "candidate", [scored(HARM, "i9", "c", 1.0)])
    with reading(filled) as session:
        evidence = trials.read_back(session, job_id, "candidate", manifest())
    assert evidence.digest == gather(manifest(), several, measures).digest


def test_a_side_without_rows_is_evidence_of_nothing(filled: Engine, job_id: str) -> None:
    with reading(filled) as session:
        evidence = trials.read_back(session, job_id, "candidate", manifest())
    assert (evidence.trials, evidence.measures) == ((), ())


def add_row(database: Engine, evaluation_id: str, **columns: Any) -> None:
    place = {"evaluation_id": evaluation_id, "side": "candidate", "probe": HARM, "item": "a"}
    with transaction(database) as session:
        session.add(TrialRow(**place, answer_key="k", lease_epoch=1, **columns))


def test_an_item_without_a_cluster_is_its_own(filled: Engine, job_id: str) -> None:
    add_row(filled, job_id, outcome="ok", badness=0.0)
    with reading(filled) as session:
        evidence = trials.read_back(session, job_id, "candidate", manifest())
    assert evidence.trials == (scored(HARM, "a", "a", 0.0),)


def test_a_row_that_says_nothing_is_an_error_and_no_smaller_evidence(
    filled: Engine, job_id: str
) -> None:
    add_row(filled, job_id, value=1.0, weight=None, unit="nats")
    with (
        pytest.raises(ValueError, match=r"harm\.direct/a is neither a trial nor a measure"),
        reading(filled) as session,
    ):
        trials.read_back(session, job_id, "candidate", manifest())


def test_an_answer_that_was_forgotten_takes_no_trial_with_it(filled: Engine, job_id: str) -> None:
    save(filled, [("candidate:a", {"text": "words"})])
    add_findings(filled, job_id, "candidate", [scored(HARM, "a", "a", 0.0)])
    with transaction(filled) as session:
        session.delete(session.get_one(AnswerRow, "candidate:a"))
    assert len(rows_of(filled, job_id)) == 1


def test_the_lease_of_a_save_is_the_writers(filled: Engine, job_id: str) -> None:
    claim(filled)
    with transaction(filled) as session:
        saved = [Saved(scored(HARM, "a", "a", 0.0), "k")]
        trials.save_trials(session, lease_of(job_id, 7), job_id, "candidate", saved)
    assert [row.lease_epoch for row in rows_of(filled, job_id)] == [7]
