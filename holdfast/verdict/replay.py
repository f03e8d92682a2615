"""Tries another policy: how its text differs, and its verdict on evidence that is there already.

Evidence costs GPU hours, a verdict on it milliseconds. So a change of policy is tried on the runs
of the past before it guards the next one, and what it asks for that they never measured shows as
missing, not as passed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.evidence.file import Evidence
from holdfast.policy.model import GatePolicy
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict


@dataclass(frozen=True, slots=True)
class Change:
    """One key of a policy, by its path; None where one of the two does not have it."""

    path: str
    before: Any
    after: Any


def changes(before: GatePolicy, after: GatePolicy) -> tuple[Change, ...]:
    """Every key that differs once defaults are filled in, in the order of the paths."""
    old, new = (dict(_leaves("", policy.model_dump(mode="json"))) for policy in (before, after))
    paths = sorted(old.keys() | new.keys())
    return tuple(
        Change(path, old.get(path), new.get(path))
        for path in paths
        if old.get(path) != new.get(path)
    )


def replay(policy: GatePolicy, sides: Mapping[str, Evidence]) -> Verdict:
    """Judge an evaluation's evidence again; `sides` are named as in its artifacts."""
    return decide(
        policy,
        sides["baseline"],
        sides["candidate"],
        repaired_from=sides.get("repaired"),
        anchor=sides.get("anchor"),
    )


def _leaves(path: str, content: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(content, dict):
        yield path, content
        return
    for key, value in content.items():
        yield from _leaves(f"{path}.{key}" if path else key, value)
