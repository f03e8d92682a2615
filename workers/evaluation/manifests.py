"""What the evidence of a side says of itself: how it was asked, by whom judged, where it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.checkpoints.checkpoint import template_digest
from holdfast.evidence.file import OPPONENT, Cut, Manifest, cluster_order
from holdfast.evidence.thinking import Thinking
from holdfast.judges.measured import measured
from holdfast.probes.engine import Backend
from holdfast.probes.question import Question
from holdfast.probes.table import spec_of
from workers.evaluation.case import Case, Side


@dataclass(frozen=True, slots=True)
class Ends:
    """Where asking ended before its end: `stops` in clusters by probe, `cuts` by side and probe.

    `thoughts`: what each side thought before its answers. `notes`: what was noted of its files.
    """

    stops: Mapping[str, int]
    cuts: Mapping[str, Mapping[str, Cut]]
    thoughts: Mapping[str, Thinking | None]
    notes: Mapping[str, Sequence[str]]


def manifest_of(case: Case, side: Side, backend: Backend, moment: datetime, ends: Ends) -> Manifest:
    """What one side's evidence says of itself (docs/statistics.md)."""
    return Manifest.model_validate(
        {
            "kind": "manifest",
            "schema": 1,
            "checkpoint": {"name": side.checkpoint.name, "digest": side.checkpoint.digest},
            "backend": side.backend(backend).to_json(),
            "sampling": case.sampling.to_json(),
            "template_sha256": template_digest(case.template_of(side)),
            "deployed_template": case.deployed is not None and side.name == "candidate",
            "judges": case.judges,
            "judge_error": {
                name: known.rates for name in case.judges if (known := measured(name)) is not None
            },
            "suites": case.suites | opponents(case, side.probes),
            "tier": case.tier,
            "split": case.split,
            "complete": True,
            "created_at": moment.isoformat(),
            "plan": {
                probe: planned(probe, case.questions[probe], ends.stops.get(probe))
                | {"cut": ends.cuts.get(side.name, {}).get(probe)}
                for probe in side.probes
            },
            "thinking": ends.thoughts.get(side.name),
            "notes": ends.notes.get(side.name, ()),
            "repairs": case.repairs if side.name == "candidate" else None,
        }
    )


def opponents(case: Case, probes: Sequence[str]) -> dict[str, str]:
    """Whose answers theirs were judged beside; part of what was asked, not of what is cached.

    A loss to one opponent is no loss to another: files with different ones are not compared.
    """
    (baseline,) = (side.checkpoint.digest for side in case.sides if side.name == "baseline")
    known = baseline.removeprefix("sha256:")
    return {f"{probe}{OPPONENT}": known for probe in probes if spec_of(probe).opponent}


def planned(probe: str, questions: Sequence[Question], stop: int | None) -> dict[str, int | None]:
    """A probe's entry in the plan: its items, and how many trials it makes up to its stop."""
    clusters = {asked.cluster for asked in questions}
    order = sorted(clusters, key=lambda cluster: cluster_order(probe, cluster))
    reached = set(order[:stop])
    return {
        "items": len({asked.item for asked in questions}),
        "trials": sum(asked.cluster in reached for asked in questions),
        "stopped_at": stop,
    }
