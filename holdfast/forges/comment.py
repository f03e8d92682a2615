"""The comment on a pull request: the verdict, a line a blocking check, and what to do next.

It is short, since it is read between two other things; the report has the rest. No text of a model
stands in it. The mark by which it is found again is hidden, and anybody could write it: whoever
looks for it looks at the author too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.report.escapes import for_markdown
from holdfast.report.numbers import change_of, interval_of, margin_of, number
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult, Decision

LONGEST = 65_000  # characters; GitHub takes 65,536, GitLab a million
SIGNS: dict[Decision, str] = {
    "pass": "Safety held: **PASS**",
    "fail": "Safety was lost: **FAIL**",
    "inconclusive": "It cannot be told whether safety held: **INCONCLUSIVE**",
}
HEADER = "| check | outcome | baseline | candidate | change | interval | bound | worst group |"
QUOTED = 12  # sentences of a kind at most
SENTENCE, NAME = 800, 80  # characters of one that are shown


@dataclass(frozen=True, slots=True)
class About:
    """The gate and the subject of a verdict, as far as they are known."""

    gate: str = "holdfast"
    candidate: str | None = None
    baseline: str | None = None
    policy: str | None = None
    tier: str | None = None
    evaluation: str | None = None
    link: str | None = None
    next_steps: tuple[str, ...] = ()


def marker_of(gate: str) -> str:
    """The first line of every comment of a gate, which nobody sees."""
    safe = "".join(char if char.isalnum() or char in "._-" else "-" for char in gate)
    return f"<!-- holdfast comment of gate {safe} -->"


def render_comment(verdict: Verdict, about: About) -> str:
    """Markdown of at most LONGEST characters; checks that do not fit are counted."""
    blocking = [check for check in verdict.checks if check.tier == "blocking"]
    ranked = sorted(blocking, key=lambda check: check.outcome in {"pass", "waived"})
    head = "\n".join(_head(verdict, about))
    tail = "\n".join(_tail(verdict, about))
    rows: list[str] = []
    left = LONGEST - len(head) - len(tail) - 200
    for check in ranked:
        row = _row(check)
        if (left := left - len(row) - 1) < 0:
            rows.append(f"\nand {len(ranked) - len(rows)} more checks; the report has them all.")
            break
        rows.append(row)
    return "\n".join([head, HEADER, "|" + " --- |" * 8, *rows, tail]) + "\n"


def _head(verdict: Verdict, about: About) -> Iterator[str]:
    yield from (marker_of(about.gate), f"### Holdfast: {SIGNS[verdict.verdict]}", "")
    against = {
        "candidate": about.candidate,
        "against": about.baseline,
        "policy": about.policy,
        "tier": about.tier,
    }
    said = [f"{name} {for_markdown(value)}" for name, value in against.items() if value]
    if said:
        yield from ("; ".join(said), "")


def _row(check: CheckResult) -> str:
    outcome = check.outcome if check.outcome == "pass" else f"**{check.outcome}**"
    cells = (
        for_markdown(check.id),
        outcome,
        number(check.baseline),
        number(check.candidate),
        change_of(check),
        interval_of(check),
        for_markdown(margin_of(check)),
        _worst_group(check),
    )
    return f"| {' | '.join(cells)} |"


def _worst_group(check: CheckResult) -> str:
    known = [row for row in check.groups if row.delta is not None]
    if not known:
        return "-"
    worst = max(known, key=lambda row: row.delta or 0.0)
    return f"{for_markdown(_cut(worst.group, NAME))} {number(worst.delta, signed=True)}"


def _tail(verdict: Verdict, about: About) -> Iterator[str]:
    if verdict.verdict != "pass":
        yield from ("", "**Why**", "")
        yield from _items(verdict.reasons)
        yield from ("", "**What to do next**", "")
        steps = (*about.next_steps, *_decidable(verdict))
        yield from (f"- {step}" for step in steps[:QUOTED])
    if verdict.waivers_applied:
        yield from ("", "**Waived**", "", *_items(verdict.waivers_applied))
    if verdict.warnings:
        yield from ("", "<details><summary>Warnings</summary>", "")
        yield from _items(verdict.warnings)
        yield from ("", "</details>")
    yield ""
    which = [f"evaluation `{about.evaluation}`"] if about.evaluation else []
    which += [f"verdict `{verdict.digest[:12]}`", f"policy `{verdict.policy_digest[:12]}`"]
    which += [f"[the run]({about.link})"] if about.link else []
    yield ", ".join(which)


def _items(sentences: tuple[str, ...]) -> Iterator[str]:
    for sentence in sentences[:QUOTED]:
        yield f"- {for_markdown(_cut(sentence, SENTENCE))}"
    if len(sentences) > QUOTED:
        yield f"- and {len(sentences) - QUOTED} more"


def _cut(text: str, longest: int) -> str:
    """The beginning of a text, before it is escaped: a cut escape would come alive."""
    return text if len(text) <= longest else f"{text[:longest]} …"


def _decidable(verdict: Verdict) -> Iterator[str]:
    """The items that would decide an open check, and the line that a failed one hangs on."""
    for check in verdict.checks:
        if check.tier != "blocking" or check.outcome in {"pass", "waived"}:
            continue
        name = for_markdown(_cut(check.id, NAME))
        needed = max((rule.items_to_decide or 0 for rule in check.rules), default=0)
        more = "ask a larger tier, or import a larger suite"
        if check.outcome == "inconclusive" and needed:
            had = f"independent items would decide it, it had {check.n}"
            yield f"{name}: about {needed} {had}; {more}"
        elif check.outcome == "inconclusive" and check.rules:
            yield f"{name}: it lies too near its bound for {check.n} items; {more}"
        elif check.outcome == "fail" and check.margin is not None:
            rule = check.rules[0].rule if check.rules else "its bound"
            line = for_markdown(f"checks.{_cut(check.id, NAME)}.{rule}")
            yield f"{name}: repair the checkpoint, or change {line} (now {check.margin:g})"
