"""The subject of a verdict, as its reports open with it, and what to do next, as they close.

A verdict names files by their digests alone. Who reads it wants to know which checkpoint was held
against which, by which policy and tier, when, and how to go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult

NAME = 80  # characters of a check's name in a sentence
MOST = 12  # steps


@dataclass(frozen=True, slots=True)
class About:
    """The subject of a verdict, as far as it is known; `judged` is a time in UTC."""

    candidate: str | None = None
    baseline: str | None = None
    policy: str | None = None
    tier: str | None = None
    evaluation: str | None = None
    judged: str | None = None
    link: str | None = None
    old_baseline: str | None = None  # a sentence, where the policy calls it old


def subject_of(about: About) -> str:
    """The subject in one sentence; empty where nothing of it is known."""
    named = {
        "candidate": about.candidate,
        "against": about.baseline,
        "policy": about.policy,
        "tier": about.tier,
        "evaluation": about.evaluation,
        "judged": about.judged,
    }
    return "; ".join(f"{name} {value}" for name, value in named.items() if value)


def next_steps(verdict: Verdict, about: About) -> tuple[str, ...]:
    """Sentences on what to do: about a verdict that is no pass, and about an old baseline."""
    steps = [about.old_baseline] if about.old_baseline else []
    if verdict.verdict == "pass":
        return tuple(steps)
    if verdict.verdict == "fail" and about.evaluation:
        steps.append(f"repair it: holdfast remediate {about.evaluation} --recipe auto --wait")
    return (*steps, *_of_checks(verdict.checks))[:MOST]


def _of_checks(checks: tuple[CheckResult, ...]) -> Iterator[str]:
    """The items that would decide an open check, and the line that a failed one hangs on."""
    more = "ask a larger tier, or import a larger suite"
    for check in checks:
        if check.tier != "blocking" or not check.rules:
            continue
        name = check.id if len(check.id) <= NAME else f"{check.id[:NAME]} …"
        needed = max(rule.items_to_decide or 0 for rule in check.rules)
        if check.outcome == "inconclusive" and needed:
            had = f"independent items would decide it, it had {check.n}"
            yield f"{name}: about {needed} {had}; {more}"
        elif check.outcome == "inconclusive":
            yield f"{name}: it lies too near its bound for {check.n} items; {more}"
        elif check.outcome == "fail" and check.margin is not None:
            line = f"checks.{name}.{check.rules[0].rule}"
            yield f"{name}: repair the checkpoint, or change {line} (now {check.margin:g})"
