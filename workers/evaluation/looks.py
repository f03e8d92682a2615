"""How far to ask before looking: all at once, or by and by under a sequential policy.

The clusters of a probe stand in an order that nobody can choose (`cluster_order`), and each look is
at a longer beginning of it. Looks are far enough apart to keep an engine busy and close enough
that a gross regression costs little more than it must. They depend on nothing but the case, so a
worker that takes over finds the same ones.
"""

from collections.abc import Iterator, Mapping
from math import ceil

from holdfast.evidence.file import Evidence, cluster_order
from holdfast.probes.question import Question
from holdfast.verdict.checks.examination import Files
from holdfast.verdict.sequential import family_sizes, shown
from workers.evaluation.case import Case

FIRST_LOOK = 40  # clusters; thirty points at a margin of five are decided within so many
STEP = 20  # at least so many more: a batch worth asking
GROWTH = 1.15  # and at least so many times as many: looking is not free either


def looks(case: Case) -> Iterator[int]:
    """How many clusters of each probe to have asked at each look; the last is all of them."""
    total = max((len(clusters(case, probe)) for probe in case.questions), default=0)
    return schedule(total) if case.policy.sequential else iter([total])


def schedule(total: int) -> Iterator[int]:
    """40, 60, 80, ... 140, 161, ... clusters, and at last all of them."""
    n_clusters = FIRST_LOOK
    while n_clusters < total:
        yield n_clusters
        n_clusters = max(n_clusters + STEP, ceil(n_clusters * GROWTH))
    yield total


def clusters(case: Case, probe: str) -> list[str]:
    """The probe's clusters in their fixed order."""
    names = {question.cluster for question in case.questions[probe]}
    return sorted(names, key=lambda cluster: cluster_order(probe, cluster))


def beginning(case: Case, probe: str, n_clusters: int) -> tuple[Question, ...]:
    """The questions of the probe's first `n_clusters` clusters."""
    first = set(clusters(case, probe)[:n_clusters])
    return tuple(question for question in case.questions[probe] if question.cluster in first)


def stopping(case: Case, n_clusters: int, done: Mapping[str, int]) -> dict[str, int]:
    """Each probe's stop at this look: `done` as they are, the others at `n_clusters` if short."""
    open_probes = {
        probe: n_clusters
        for probe in case.questions
        if probe not in done and n_clusters < len(clusters(case, probe))
    }
    return {**done, **open_probes}


def decided_probes(case: Case, evidence: Mapping[str, Evidence]) -> frozenset[str]:
    """The probes that need no further questions, by what every side has answered so far."""
    groups = {
        probe: len({question.group for question in questions} - {None})
        for probe, questions in case.questions.items()
    }
    anchor = evidence.get("anchor")
    sizes = family_sizes(
        case.policy,
        groups,
        repair=case.repairs is not None,
        baselines=1 if anchor is None else 2,
    )
    files = Files(evidence["baseline"], evidence["candidate"], anchor=anchor)
    return shown(case.policy, files, sizes)
