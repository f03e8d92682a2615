"""A repair's evaluation is held to the rules of the project as they are, and is its asker's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from holdfast.checkpoints.checkpoint import admit
from holdfast.db import jobs
from holdfast.db.catalogue import get_checkpoint, save_policy, set_baseline
from holdfast.db.evaluations import (
    create_remediation,
    fields_of,
    get_evaluation,
    get_job,
    get_remediation,
)
from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import reading, transaction
from holdfast.errors import Forbidden
from holdfast.ladder.rungs import AUTO
from holdfast.policy.text import parse_policy
from holdfast.projects.audit import all_events
from holdfast.projects.people import people_behind, require_another_person
from holdfast.projects.rules import (
    Rules,
    find_project,
    queue_evaluation,
    require_allowed,
    set_rules,
)
from holdfast.projects.waivers import WaiverFields, give_waiver, terms_in_force
from holdfast.verdict.terms import Terms
from tests.support.stack import scripted_checkpoint
from workers.repairs.remedy import conclude
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]
Repaired = Callable[..., str]
STRICT = """\
version: 1
name: strict
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.02}
"""


@pytest.fixture
def asked(worker: Worker, queue: Queue, claim: Claim) -> Callable[..., jobs.Lease]:
    """A repair that `asker` wants of what `submitter` submitted, claimed."""

    def ask(submitter: str | None = "ann", asker: str | None = "bob", **also: Any) -> jobs.Lease:
        evaluation = queue(principal=submitter, **also)
        claim()
        with transaction(worker.database) as session:
            create_remediation(
                session, evaluation, recipe="wise_ft", options={}, key_id=None, principal=asker
            )
        return claim()

    return ask


@pytest.fixture
def repaired(worker: Worker, models: Path) -> Repaired:
    """Conclude a claimed repair with a checkpoint of its own; the evaluation that gates it."""

    def make(lease: jobs.Lease) -> str:
        folder = models / f"made-by-{lease.job_id}"
        scripted_checkpoint(folder, 5.0)
        with transaction(worker.database) as session:
            conclude(session, worker, lease, admit(str(folder), worker.settings.roots))
        with reading(worker.database) as session:
            return str(get_remediation(session, lease.job_id).child_evaluation_id)

    return make


def rule(worker: Worker, **rules: Any) -> None:
    """Make rules for the project `p`."""
    with transaction(worker.database) as session:
        policy = rules.pop("policy", None)
        if policy is not None:
            row = save_policy(session, "p", parse_policy(policy, source="policy"), policy)
            rules["policy_id"] = row.id
        set_rules(session, "p", Rules(**rules), principal="rita", expected_version=None)


def point(session: Session, alias: str, checkpoint: str, actor: str = "operator") -> None:
    set_baseline(session, "p", alias, checkpoint, actor=actor, expected_version=None)


def terms_of(worker: Worker, evaluation: str) -> Terms:
    with reading(worker.database) as session:
        terms = get_evaluation(session, evaluation).terms
    assert terms is not None
    return terms


def test_a_repair_of_what_an_older_policy_failed_cannot_pass_by_it(
    worker: Worker, asked: Callable[..., jobs.Lease], repaired: Repaired
) -> None:
    lease = asked()
    rule(worker, policy=STRICT)
    terms = terms_of(worker, repaired(lease))
    assert "the project judges by its own policy" in terms.obstacles[0]
    assert terms.remarks == (), "nobody says that the policy is the pinned one"


def test_a_repair_beside_a_baseline_that_is_no_longer_the_projects_cannot_pass(
    worker: Worker, asked: Callable[..., jobs.Lease], repaired: Repaired
) -> None:
    lease = asked()
    with transaction(worker.database) as session:
        failing = get_evaluation(session, get_remediation(session, lease.job_id).evaluation_id)
        point(session, "production", failing.candidate_id)
    rule(worker, baseline="production")
    assert "requires the baseline 'production'" in terms_of(worker, repaired(lease)).obstacles[0]


def test_a_repair_is_its_askers_and_stands_in_the_trail(
    worker: Worker, asked: Callable[..., jobs.Lease], repaired: Repaired
) -> None:
    lease = asked()
    child = repaired(lease)
    with reading(worker.database) as session:
        assert get_job(session, child).principal == "bob"
        candidate = get_evaluation(session, child).candidate_id
        assert people_behind(session, "p", candidate) == {"ann", "bob"}
        (event,) = [event for event in all_events(session, "p") if event["target"] == child]
    assert (event["action"], event["principal"]) == ("evaluation.submit", "bob")
    assert event["after"] == {"candidate": candidate, "remediation": lease.job_id}


@pytest.mark.parametrize(("person", "may"), [("ann", False), ("bob", False), ("cleo", True)])
def test_neither_submitter_nor_asker_acts_on_a_repair_where_duties_are_separate(
    worker: Worker,
    asked: Callable[..., jobs.Lease],
    repaired: Repaired,
    person: str,
    may: bool,
) -> None:
    child = repaired(asked())
    rule(worker, separate_duties=True)
    with transaction(worker.database) as session:
        row = get_evaluation(session, child)
        rules = find_project(session, "p")
        act = (session, rules, row.candidate_id, person, "waive its checks")
        if may:
            require_another_person(*act)
        else:
            with pytest.raises(Forbidden, match="or had it repaired, may not waive"):
                require_another_person(*act)


@pytest.mark.parametrize(("owner", "counts"), [("ann", False), ("bob", False), ("cleo", True)])
def test_a_waiver_counts_for_nobody_who_is_behind_the_candidate(
    worker: Worker,
    asked: Callable[..., jobs.Lease],
    repaired: Repaired,
    owner: str,
    counts: bool,
) -> None:
    """Given before there was anything to be behind of, so that the act itself was allowed."""
    child = repaired(asked())
    rule(worker, separate_duties=True)
    with transaction(worker.database) as session:
        row = get_evaluation(session, child)
        digest = get_checkpoint(session, "p", row.candidate_id).digest
        row.verdict_document = "{}"
        until = datetime.now(UTC) + timedelta(days=2)
        give_waiver(session, "p", WaiverFields("harm.direct", digest, "known", until), owner=owner)
        assert bool(terms_in_force(session, row, "p", digest).given) == counts


@pytest.mark.parametrize(
    ("mover", "words"), [("cleo", ()), ("ann", ("may be whoever is behind",)), (None, ("may be",))]
)
def test_nobody_is_measured_against_a_baseline_of_their_own_choice_where_duties_are_separate(
    worker: Worker, queue: Queue, mover: str | None, words: tuple[str, ...]
) -> None:
    evaluation = queue(principal="ann")
    with transaction(worker.database) as session:
        row = get_evaluation(session, evaluation)
        pepper = read_pepper(worker.settings)
        key = create_key(session, pepper, "p", name="k", scopes=("admin",)).row
        key.principal = mover
        point(session, "production", row.baseline_id, actor=key.id)
    rule(worker, baseline="production", separate_duties=True)
    with transaction(worker.database) as session:
        again = fields_of(get_job(session, evaluation), get_evaluation(session, evaluation))
        made = queue_evaluation(session, again)
    obstacles = terms_of(worker, made).obstacles
    assert len(obstacles) == len(words)
    assert all(word in obstacle for word, obstacle in zip(words, obstacles, strict=True))


def test_a_repair_that_could_not_pass_is_refused_when_it_is_asked_for(
    worker: Worker, queue: Queue
) -> None:
    evaluation = queue(principal="ann", policy=STRICT)
    rule(worker, policy=STRICT)
    with transaction(worker.database) as session:
        failing = fields_of(get_job(session, evaluation), get_evaluation(session, evaluation))
        require_allowed(session, failing, AUTO, "ann")
        require_allowed(session, failing, "wise_ft", "ann")
        with pytest.raises(Forbidden, match="found the chat template of the candidate"):
            require_allowed(session, failing, "ptst", "ann")
    older = queue(principal="ann")
    with transaction(worker.database) as session:
        failing = fields_of(get_job(session, older), get_evaluation(session, older))
        with pytest.raises(Forbidden, match="judges by its own policy"):
            require_allowed(session, failing, AUTO, "ann")


def test_evaluations_are_queued_in_one_place() -> None:
    root = Path(__file__).parents[3]
    callers = {
        str(path.relative_to(root))
        for package in ("holdfast", "service", "workers", "training")
        for path in (root / package).rglob("*.py")
        if "create_evaluation(" in path.read_text()
    }
    assert callers == {"holdfast/db/evaluations.py", "holdfast/projects/rules.py"}
