"""The races of a ladder's tries: one that cannot pass any more is asked no further.

Twice: after the first items of the decisive probes, where only what is far out is dropped, and
after all of their items, where whatever they have not shown to be right is. The second saves the
probes that are left, which is most of the time.
"""

from sys import maxsize

from holdfast.db import jobs
from holdfast.db.documents import Race
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.trials import saved_items
from holdfast.ladder.hopeless import hopeless, resisting
from holdfast.verdict.checks.examination import Files
from workers.evaluation.asking import cut, run_probe
from workers.evaluation.case import FAILING, Case
from workers.evaluation.gathered import evidence_of, manifests_of
from workers.worker import Worker


def loses_race(worker: Worker, lease: jobs.Lease, case: Case) -> bool:
    """Ask the decisive probes of a race; True if the candidate is lost by them: all else is cut."""
    if case.race is None:
        return False
    ask_decisive(worker, lease, case, case.race, case.race.items)
    lost = hopeless(case.policy, case.race.probes, files_so_far(worker, case))
    early = bool(lost)
    if not lost and not case.policy.sequential:  # which stops by itself, earlier
        ask_decisive(worker, lease, case, case.race, maxsize)
        lost = resisting(case.policy, case.race.probes, files_so_far(worker, case))
    if lost:
        drop(worker, lease, case, case.race, lost, early=early)
    return bool(lost)


def ask_decisive(
    worker: Worker, lease: jobs.Lease, case: Case, race: Race, n_clusters: int
) -> None:
    """Ask every side the first `n_clusters` clusters of the race's probes."""
    for side in case.sides:
        for probe in race.probes:
            if probe in side.probes:
                run_probe(worker, lease, case, side, probe, n_clusters=n_clusters)


def files_so_far(worker: Worker, case: Case) -> Files:
    """The evidence of every side so far."""
    with reading(worker.database) as session:
        evidence = evidence_of(session, case, manifests_of(session, worker, case, {}))
    return Files(
        evidence["baseline"], evidence["candidate"], evidence.get(FAILING), evidence.get("anchor")
    )


def drop(
    worker: Worker,
    lease: jobs.Lease,
    case: Case,
    race: Race,
    lost: dict[str, str],
    *,
    early: bool,
) -> None:
    """Drop the candidate: write down why, and that it is not asked the rest."""
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        row = get_evaluation(session, case.evaluation_id)
        row.race = race.model_copy(update={"dropped": dict(lost), "early": early})
        done = saved_items(session, case.evaluation_id, "candidate")
    (candidate,) = (side for side in case.sides if side.name == "candidate")
    why = f"dropped: {next(iter(lost.values()))}"
    for probe in candidate.probes:
        questions = case.questions[probe]
        saved = ((probe, question.item, question.variant) in done for question in questions)
        unasked = [
            question for question, is_saved in zip(questions, saved, strict=True) if not is_saved
        ]
        if unasked:
            cut(worker, lease, case, candidate, probe, unasked, why)
