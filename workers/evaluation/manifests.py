"""The manifest of a side's evidence: how it was asked, by whom judged, where it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.checkpoints.chat_template import template_digest
from holdfast.evidence.file import cluster_order
from holdfast.evidence.manifest import OPPONENT, Cut, Manifest, Thinking
from holdfast.judges.measured import measured_errors
from holdfast.probes.engine import Backend
from holdfast.probes.question import Question
from holdfast.probes.table import spec_of
from workers.evaluation.case import Case, Side


@dataclass(frozen=True, slots=True)
class Ends:
    """Where asking stopped early: `stops` in clusters by probe, `cuts` by side and probe.

    `thoughts`: what each side thought before its answers. `notes`: what was noted of its files.
    """

    stops: Mapping[str, int]
    cuts: Mapping[str, Mapping[str, Cut]]
    thoughts: Mapping[str, Thinking | None]
    notes: Mapping[str, Sequence[str]]


def manifest_of(case: Case, side: Side, backend: Backend, moment: datetime, ends: Ends) -> Manifest:
    """The manifest of one side's evidence (docs/statistics.md)."""
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
                name: figures.rates
                for name in case.judges
                if (figures := measured_errors(name)) is not None
            },
            "suites": case.suites | opponents(case, side.probes),
            "tier": case.tier,
            "split": case.split,
            "complete": True,
            "created_at": moment.isoformat(),
            "plan": {
                probe: plan_entry(probe, case.questions[probe], ends.stops.get(probe))
                | {"cut": ends.cuts.get(side.name, {}).get(probe)}
                for probe in side.probes
            },
            "thinking": ends.thoughts.get(side.name),
            "notes": ends.notes.get(side.name, ()),
            "repairs": case.repairs if side.name == "candidate" else None,
            "retested": case.retested if side.name == "candidate" else (),
            "remarks": case.remarks if side.name == "candidate" else (),
        }
    )


def opponents(case: Case, probes: Sequence[str]) -> dict[str, str]:
    """Each probe's opponent by its digest: in the manifest, but in no key of a cached answer.

    A loss to one opponent is no loss to another: files with different ones are not compared.
    """
    (baseline,) = (side.checkpoint.digest for side in case.sides if side.name == "baseline")
    digest = baseline.removeprefix("sha256:")
    return {f"{probe}{OPPONENT}": digest for probe in probes if spec_of(probe).opponent}


def plan_entry(
    probe: str, questions: Sequence[Question], stop: int | None
) -> dict[str, int | None]:
    """A probe's entry in the plan: its items, and how many trials it makes up to its stop."""
    clusters = {question.cluster for question in questions}
    order = sorted(clusters, key=lambda cluster: cluster_order(probe, cluster))
    reached = set(order[:stop])
    return {
        "items": len({question.item for question in questions}),
        "trials": sum(question.cluster in reached for question in questions),
        "stopped_at": stop,
    }
