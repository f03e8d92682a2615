"""What a project demands of an evaluation, and waivers, from the row to the verdict."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import CheckpointRow, PolicyText
from holdfast.errors import Conflict, Forbidden, InvalidPolicy, NotFound
from holdfast.projects import waivers
from holdfast.projects.audit import all_events
from holdfast.projects.decided_anew import (
    decide_again,
    decide_lapsed,
    earlier_verdicts,
    waived_digests,
    waived_until,
)
from holdfast.projects.rules import Rules, set_rules
from holdfast.projects.tables import WaiverRow
from holdfast.projects.waivers import WaiverFields, give_waiver
from holdfast.verdict.document import Verdict
from holdfast.verdict.terms import Terms
from workers import tasks
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]

POLICY = """\
version: 1
name: two
min_items: 40
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
REASON = "known, and mended next week"
WITH_WAIVER = f"""{POLICY}waivers:
  - {{check: harm.direct, owner: mallory, reason: "it will do", expires: 2099-01-01}}
"""


@pytest.fixture
def judged(worker: Worker, queue: Queue, claim: Claim) -> Callable[..., str]:
    """Queue an evaluation of the eroded checkpoint and run it; returns its id."""

    def run(**also: object) -> str:
        evaluation = queue(**{"policy": POLICY, **also})
        tasks.run(worker, claim())
        return evaluation

    return run


def verdict_of(worker: Worker, evaluation: str) -> Verdict:
    with reading(worker.database) as session:
        document = get_evaluation(session, evaluation).verdict_document
    assert document is not None
    return Verdict.model_validate_json(document)


def digest_of(worker: Worker, evaluation: str) -> str:
    with reading(worker.database) as session:
        row = get_evaluation(session, evaluation)
        return session.get_one(CheckpointRow, row.candidate_id).digest


def waive(worker: Worker, evaluation: str, *, check: str = "harm.direct", days: float = 7) -> str:
    """Give a waiver and decide anew, as the service does."""
    until = datetime.now(UTC) + timedelta(days=days)
    wanted = WaiverFields(
        check, digest_of(worker, evaluation), "known, and mended next week", until
    )
    with transaction(worker.database) as session:
        row = give_waiver(session, "p", wanted, owner="ann")
        decide_again(session, "p", row.digest)
        return row.id


def test_a_waiver_after_a_fail_makes_a_second_verdict_that_names_the_first(
    worker: Worker, judged: Callable[..., str]
) -> None:
    evaluation = judged()
    first = verdict_of(worker, evaluation)
    waive(worker, evaluation)
    second = verdict_of(worker, evaluation)
    assert (first.verdict, second.verdict) == ("fail", "pass")
    assert (first.supersedes, second.supersedes) == (None, first.digest)
    assert second.exit_code == 0
    assert f"by ann: {REASON}" in second.waivers_applied[0]
    assert second.evidence_digests == first.evidence_digests
    assert second.cost == first.cost
    with reading(worker.database) as session:
        (kept,) = earlier_verdicts(session, evaluation)
    assert kept.document.encode() == first.to_json()


def test_a_revoked_waiver_brings_the_fail_back(worker: Worker, judged: Callable[..., str]) -> None:
    evaluation = judged()
    waiver = waive(worker, evaluation)
    with transaction(worker.database) as session:
        row = waivers.revoke_waiver(session, "p", waiver)
        assert [about.id for about in decide_again(session, "p", row.digest)] == [evaluation]
    assert verdict_of(worker, evaluation).verdict == "fail"
    with reading(worker.database) as session:
        assert [kept.number for kept in earlier_verdicts(session, evaluation)] == [1, 2]
    with pytest.raises(Conflict, match="already"), transaction(worker.database) as session:
        waivers.revoke_waiver(session, "p", waiver)


def pass_the_end(worker: Worker, evaluation: str) -> None:
    """Move the end of every waiver to a second ago, and that of the verdict that stands on it."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with transaction(worker.database) as session:
        session.execute(update(WaiverRow).values(expires_at=past))
        get_evaluation(session, evaluation).waived_until = past


def end_of(worker: Worker, evaluation: str) -> datetime | None:
    with reading(worker.database) as session:
        end = get_evaluation(session, evaluation).waived_until
    return end and end.replace(tzinfo=UTC)


def test_a_pass_ends_with_its_waiver(worker: Worker, judged: Callable[..., str]) -> None:
    evaluation = judged()
    waive(worker, evaluation, days=7)
    waived = verdict_of(worker, evaluation)
    with reading(worker.database) as session:
        (waiver,) = waivers.list_waivers(session, "p", limit=9)
    assert end_of(worker, evaluation) == waiver.expires_at.replace(tzinfo=UTC)
    assert decide_lapsed(worker.database) == []
    pass_the_end(worker, evaluation)
    assert decide_lapsed(worker.database) == [evaluation]
    failed = verdict_of(worker, evaluation)
    assert (waived.verdict, failed.verdict, failed.supersedes) == ("pass", "fail", waived.digest)
    assert (end_of(worker, evaluation), decide_lapsed(worker.database)) == (None, [])
    with reading(worker.database) as session:
        *_, act = all_events(session, "p")
    assert (act["action"], act["target"]) == ("waiver.end", evaluation)
    assert (act["authenticated"], act["after"]) == ("server", {"verdict": "fail"})


def test_what_a_worker_passes_by_a_waiver_ends_with_it(
    worker: Worker, judged: Callable[..., str]
) -> None:
    waive(worker, judged())
    evaluation = judged()
    pass_the_end(worker, evaluation)
    assert evaluation in decide_lapsed(worker.database)
    assert verdict_of(worker, evaluation).verdict == "fail"


def test_a_pass_by_a_waiver_of_the_policys_text_ends_with_it_and_not_before(
    worker: Worker, judged: Callable[..., str]
) -> None:
    evaluation = judged(policy=WITH_WAIVER)
    end = end_of(worker, evaluation)
    assert end is not None
    assert end == datetime(2099, 1, 2, tzinfo=UTC) - timedelta(microseconds=1)
    pass_the_end(worker, evaluation)  # as after an update from a release without these ends
    assert decide_lapsed(worker.database) == []
    assert (verdict_of(worker, evaluation).verdict, end_of(worker, evaluation)) == ("pass", end)
    with transaction(worker.database) as session:
        session.execute(update(PolicyText).values(text=WITH_WAIVER.replace("2099", "2020")))
    pass_the_end(worker, evaluation)
    assert decide_lapsed(worker.database) == [evaluation]
    assert verdict_of(worker, evaluation).verdict == "fail"


def test_a_waiver_that_was_revoked_while_a_verdict_was_decided_passes_nothing(
    worker: Worker, judged: Callable[..., str]
) -> None:
    evaluation = judged()
    waiver = waive(worker, evaluation)
    waived = verdict_of(worker, evaluation)
    with transaction(worker.database) as session:
        waivers.revoke_waiver(session, "p", waiver)
        row = get_evaluation(session, evaluation)
        row.waived_until = waived_until(session, row, waived)  # as the worker does at its end
    assert decide_lapsed(worker.database) == [evaluation]
    assert verdict_of(worker, evaluation).verdict == "fail"


@pytest.mark.parametrize("lost", ["archived", "broken"])
def test_a_pass_that_cannot_be_decided_anew_does_not_stay(
    worker: Worker, judged: Callable[..., str], lost: str
) -> None:
    evaluation = judged()
    waive(worker, evaluation)
    with transaction(worker.database) as session:
        row = get_evaluation(session, evaluation)
        row.manifests = {} if lost == "archived" else {**row.manifests, "candidate": {}}
    pass_the_end(worker, evaluation)
    assert decide_lapsed(worker.database) == [evaluation]
    verdict = verdict_of(worker, evaluation)
    assert (verdict.verdict, verdict.exit_code, verdict.waivers_applied) == ("inconclusive", 3, ())
    assert "evaluate the checkpoint again" in verdict.reasons[0]
    assert decide_lapsed(worker.database) == []


def test_a_waiver_holds_for_the_next_evaluation_of_the_same_checkpoint(
    worker: Worker, judged: Callable[..., str]
) -> None:
    waive(worker, judged())
    assert verdict_of(worker, judged()).verdict == "pass"


def test_deciding_again_without_a_reason_changes_nothing(
    worker: Worker, judged: Callable[..., str]
) -> None:
    evaluation = judged()
    first = verdict_of(worker, evaluation)
    with transaction(worker.database) as session:
        assert decide_again(session, "p", digest_of(worker, evaluation)) == []
    assert verdict_of(worker, evaluation) == first


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        ({"check": "harm.typo"}, NotFound, "no evaluation of sha256:.* has a verdict on harm.typo"),
        ({"days": -1}, InvalidPolicy, "expected a time from now"),
        ({"days": 31}, InvalidPolicy, "30 days being the most"),
    ],
)
def test_a_waiver_that_covers_nothing_or_too_much_is_refused(
    worker: Worker,
    judged: Callable[..., str],
    wanted: dict[str, object],
    kind: type[Exception],
    words: str,
) -> None:
    evaluation = judged()
    with pytest.raises(kind, match=words):
        waive(worker, evaluation, **wanted)  # type: ignore[arg-type]
    assert verdict_of(worker, evaluation).verdict == "fail"


def test_what_a_project_never_waives_is_waived_by_nobody(
    worker: Worker, judged: Callable[..., str]
) -> None:
    evaluation = judged()
    waive(worker, evaluation)
    rules = Rules(unwaivable=("harm.direct",))
    with transaction(worker.database) as session:
        set_rules(session, "p", rules, principal="root", expected_version=None)
        decide_again(session, "p", digest_of(worker, evaluation))
    assert verdict_of(worker, evaluation).verdict == "fail"  # nor by one given before
    with pytest.raises(Forbidden, match="for nobody"):
        waive(worker, evaluation)


def test_waivers_in_a_text_that_the_submitter_brought_do_not_count(
    worker: Worker, judged: Callable[..., str]
) -> None:
    free = verdict_of(worker, judged(policy=WITH_WAIVER))
    bound = verdict_of(worker, judged(policy=WITH_WAIVER, terms=Terms(text_waivers=False)))
    assert (free.verdict, bound.verdict) == ("pass", "fail")
    assert any("does not count" in warning for warning in bound.warnings)


def test_a_check_that_is_never_waived_is_not_waived_by_a_pinned_text_either(
    worker: Worker, judged: Callable[..., str]
) -> None:
    terms = Terms(text_waivers=True, unwaivable=("harm.direct",))
    verdict = verdict_of(worker, judged(policy=WITH_WAIVER, terms=terms))
    assert verdict.verdict == "fail"
    assert any("waives it for nobody" in warning for warning in verdict.warnings)


def test_what_a_text_waived_is_decided_anew_once_nobody_may(
    worker: Worker, judged: Callable[..., str]
) -> None:
    evaluation = judged(policy=WITH_WAIVER)
    assert verdict_of(worker, evaluation).verdict == "pass"
    rules = Rules(unwaivable=("harm.direct",))
    with transaction(worker.database) as session:
        set_rules(session, "p", rules, principal="root", expected_version=None)
        (digest,) = waived_digests(session, "p")
        assert [row.id for row in decide_again(session, "p", digest)] == [evaluation]
        assert waived_digests(session, "p") == []
    assert verdict_of(worker, evaluation).verdict == "fail"


def test_a_choice_that_the_project_does_not_allow_can_neither_pass_nor_fail(
    worker: Worker, judged: Callable[..., str]
) -> None:
    terms = Terms(obstacles=("the project requires another baseline",), remarks=("set by ann",))
    for candidate in ("aligned", "eroded"):
        verdict = verdict_of(worker, judged(candidate=candidate, terms=terms))
        assert verdict.verdict == "inconclusive"
        assert verdict.exit_code == 3
        assert "the project requires another baseline" in verdict.reasons
        assert "set by ann" in verdict.warnings


def test_a_waiver_does_not_lift_what_the_project_demands(
    worker: Worker, judged: Callable[..., str]
) -> None:
    judged()
    evaluation = judged(terms=Terms(obstacles=("another baseline",)))
    waive(worker, evaluation)
    assert verdict_of(worker, evaluation).verdict == "inconclusive"
