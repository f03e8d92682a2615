"""Evidence from lists of badness, for tests that need files to judge."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.manifest import Manifest
from holdfast.evidence.trial import Measure, Trial, scored, unscored


def hex_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def manifest(name: str = "parent", **changes: Any) -> Manifest:
    """A complete manifest of a made-up checkpoint; equal but for what is changed."""
    document = {
        "kind": "manifest",
        "schema": 1,
        "checkpoint": {"name": name, "digest": f"sha256:{hex_of(name)}"},
        "backend": {"name": "scripted", "version": "1", "dtype": "float32"},
        "sampling": {"temperature": 0.0, "max_tokens": 48, "seed": 0},
        "template_sha256": hex_of("template"),
        "judges": {name: hex_of(name) for name in ("refusal", "coherence", "choice")},
        "suites": {"harmful": hex_of("harmful"), "benign": hex_of("benign")},
        "tier": "standard",
        "complete": True,
        "created_at": "2026-01-31T12:00:00Z",
        **changes,
    }
    return Manifest.model_validate(document)


def trials(
    probe: str,
    badness: Sequence[float | None],
    *,
    clusters_of: int = 1,
    groups: Sequence[str] = (),
) -> list[Trial]:
    """One trial a number (None = unscored); `clusters_of` consecutive items share a cluster.

    Groups are dealt out cluster by cluster, so that a group's clusters are whole.
    """
    dealt = []
    for number, value in enumerate(badness):
        cluster = number // clusters_of
        group = groups[cluster % len(groups)] if groups else None
        place = (probe, f"{probe}-{number:04d}", f"c{cluster:04d}")
        if value is None:
            dealt.append(unscored(*place, "the model said nothing", group=group))
        else:
            dealt.append(scored(*place, value, group=group))
    return dealt


def losses(values: Sequence[float], *, weight: float = 10.0) -> list[Measure]:
    """Measures of task.retention: nats per item."""
    return [
        Measure("task.retention", f"row-{number:04d}", value, weight, "nats")
        for number, value in enumerate(values)
    ]


def evidence(
    name: str = "parent",
    rates: Mapping[str, Sequence[float | None]] | None = None,
    *,
    measures: Iterable[Measure] = (),
    **changes: Any,
) -> Evidence:
    """Evidence of a checkpoint: badness per probe, one item a cluster, no groups."""
    found = [trial for probe, badness in (rates or {}).items() for trial in trials(probe, badness)]
    return gather(manifest(name, **changes), found, measures)


def share(bad: int, n: int) -> list[float]:
    """A list of n with `bad` ones first."""
    return [1.0] * bad + [0.0] * (n - bad)
