"""The retest of a repair on `confirm`, after everything that decides was asked.

The task's own context for every repair; for one that passed also an imported set that nothing was
tuned on. It is advisory and may turn nothing: it begins only where it is sure to end within the
job's time, and where it breaks the verdict stands as it was, with a sentence.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from sys import maxsize

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading
from holdfast.db.tables import EvaluationRow
from holdfast.errors import CallerError, HarnessError, InvalidSuite, Unreachable
from holdfast.policy.budget import Spent
from holdfast.probes.items import suite_for
from holdfast.probes.question import Question
from holdfast.probes.spec import MAX_TOKENS
from holdfast.probes.table import probe_of, spec_of
from holdfast.settings import Settings
from holdfast.suites import LoadedSuite, installed_names, load_suite, select
from holdfast.suites.duplicates import near_duplicates, text_of
from holdfast.verdict.retest import FRESH, IN_TASK, with_retest
from workers.evaluation.asking import run_probe
from workers.evaluation.case import Case
from workers.evaluation.gathered import evidence_of, manifests_of, verdict_on
from workers.evaluation.questions import SEED, judges_of, plan, task_rows
from workers.evaluation.spending import spent_so_far
from workers.worker import Worker

ITEMS = 100  # of each imported set: enough to pass at the shipped margins, and minutes at most
LOOKED_AT = 5 * ITEMS
POOL = "rehearsal"
SIDES = ("baseline", "candidate")
SECONDS_A_PROMPT = 1.0  # where this evaluation has asked nothing itself: all was in the cache
RESERVE = 2.0  # times the time it takes by that


@dataclass(frozen=True, slots=True)
class Planned:
    """The questions of one probe, and the digest of what they are taken from."""

    questions: tuple[Question, ...]
    suite: str


def retest(worker: Worker, lease: jobs.Lease, case: Case, stops: Mapping[str, int]) -> Case:
    """Ask a repair what its policy does not; the case with what was asked, and what was not."""
    if case.repairs is None or case.split != "confirm":
        return case
    with reading(worker.database) as session:
        row = get_evaluation(session, case.evaluation_id)
        evidence = evidence_of(session, case, manifests_of(session, worker, case, stops))
        passed = verdict_on(session, case, evidence).verdict == "pass"
        spent = spent_so_far(session, case)
        remaining = (lease.deadline_at - jobs.now(session)).total_seconds()
    try:
        planned, reasons = plan_retest(case, row, worker.settings, passed=passed)
        widened = widen(case, planned, reasons, worker.settings)
        if planned and (why := too_late(planned, spent, remaining)):
            return remarked(case, *reasons, why)
        ask(worker, lease, widened)
    except (CallerError, HarnessError, Unreachable) as error:  # its text may quote a row
        return remarked(case, f"it broke off ({type(error).__name__})")
    return widened


def remarked(case: Case, *reasons: str) -> Case:
    """The case with why some of its retest was not asked."""
    return replace(case, remarks=(*case.remarks, *(f"retest: {why}" for why in reasons)))


def plan_retest(
    case: Case, row: EvaluationRow, settings: Settings, *, passed: bool
) -> tuple[dict[str, Planned], list[str]]:
    """The questions by probe, none that the policy asks, and sentences on what cannot be asked."""
    planned: dict[str, Planned] = {}
    reasons: list[str] = []
    if IN_TASK not in case.questions:
        if row.task_data is None:
            reasons.append(f"{IN_TASK} was not asked: the evaluation names no task data")
        elif questions := plan(IN_TASK, row, settings):
            planned[IN_TASK] = Planned(*questions)
    for probe in FRESH if passed else ():
        suite = fresh_suite(probe, case, row, settings)
        if suite is None:
            reasons.append(
                f"no fresh requests for {probe}: no imported suite is installed that it can ask "
                "and the policy does not (`holdfast suites import`)"
            )
        else:
            planned[f"{probe}@{suite.name}"] = plan_fresh(probe, suite, case)
    for probe in [name for name, found in planned.items() if not found.questions]:
        del planned[probe]
        reasons.append(f"{probe} was not asked: the tier {case.tier}, or its rows, leave nothing")
    return planned, reasons


def plan_fresh(probe: str, suite: LoadedSuite, case: Case) -> Planned:
    """So many items as the tier takes, ITEMS at most."""
    takes = spec_of(probe).items.get(case.tier, 0)
    items = select(suite, ITEMS if takes is None else min(takes, ITEMS), case.split, SEED)
    return Planned(probe_of(probe).questions(items, MAX_TOKENS[case.tier]), suite.digest)


def fresh_suite(
    probe: str, case: Case, row: EvaluationRow, settings: Settings
) -> LoadedSuite | None:
    """The installed suite with the most items for a probe that nothing was tuned or chosen on.

    None of them says almost the same as what was trained on or what the policy asks; of a large
    suite a part is looked through. Of several suites with as many, the first by name.
    """
    asked = {spec_of(name).suite for name in case.questions} - {None}
    known = known_texts(asked, row, settings)
    best: LoadedSuite | None = None
    for name in installed_names(settings.installed_suites):
        if name in asked:
            continue
        with suppress(InvalidSuite):  # it holds nothing that this probe can ask, or is damaged
            suite = suite_for(spec_of(f"{probe}@{name}"), settings.installed_suites)
            some = select(suite, LOOKED_AT, case.split, SEED)
            near = near_duplicates([text_of(item) for item in some], known)
            fresh = [item for item, seen in zip(some, near, strict=True) if seen is None]
            if fresh and (best is None or min(len(fresh), ITEMS) > min(len(best.items), ITEMS)):
                best = replace(suite, items=tuple(fresh))
    return best


def known_texts(
    asked: set[str | None], row: EvaluationRow, settings: Settings
) -> dict[str, list[str]]:
    """The texts that a repair, or whoever chose it, may know: by where they stand."""
    suites = [POOL, *sorted(name for name in asked if name)]
    texts = {
        name: [text_of(item) for item in load_suite(name, settings.installed_suites).items]
        for name in suites
    }
    trained = task_rows(row, IN_TASK)
    words = [words for each in trained for role, words in each.prompt_turns if role == "user"]
    return {**texts, "task data": words}


def widen(
    case: Case, planned: Mapping[str, Planned], reasons: Sequence[str], settings: Settings
) -> Case:
    """The case with what is asked beside its policy, of the baseline and the candidate alone."""
    names = tuple(planned)
    widened = with_retest(case.policy, names)
    return replace(
        remarked(case, *reasons),
        questions={**case.questions, **{name: found.questions for name, found in planned.items()}},
        suites={**case.suites, **{name: found.suite for name, found in planned.items()}},
        judges={**case.judges, **judges_of(widened, names, settings)},
        sides=tuple(
            replace(side, probes=(*side.probes, *names)) if side.name in SIDES else side
            for side in case.sides
        ),
        retested=names,
    )


def too_late(planned: Mapping[str, Planned], spent: Spent, remaining: float) -> str | None:
    """Why it is not begun, in words; None where it is sure to end before the job's deadline."""
    pace = spent.seconds / spent.prompts if spent.prompts else SECONDS_A_PROMPT
    needed = RESERVE * pace * len(SIDES) * sum(prompts_of(planned))
    if needed < remaining:
        return None
    return f"not begun: it may take {needed:.0f} s, and the job has {max(remaining, 0):.0f} s left"


def prompts_of(planned: Mapping[str, Planned]) -> Iterator[int]:
    """The prompts of each question."""
    return (question.prompts for found in planned.values() for question in found.questions)


def ask(worker: Worker, lease: jobs.Lease, case: Case) -> None:
    """Ask both sides, the candidate first: it is the one that is loaded."""
    for side in reversed(case.sides):
        for probe in case.retested:
            if probe in side.probes:
                run_probe(worker, lease, case, side, probe, n_clusters=maxsize)
