"""The comment on a pull request: the verdict, a line a blocking check, and what to do next.

It is short, since it is read between two other things; the report has the rest. No text of a model
stands in it. The mark by which it is found again is hidden, and anybody could write it: whoever
looks for it looks at the author too.
"""

from collections.abc import Iterator

from holdfast.report.about import About, next_steps, subject_of
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


def marker_of(gate: str) -> str:
    """The first line of every comment of a gate, which nobody sees."""
    safe = "".join(char if char.isalnum() or char in "._-" else "-" for char in gate)
    return f"<!-- holdfast comment of gate {safe} -->"


def render_comment(verdict: Verdict, about: About, gate: str = "holdfast") -> str:
    """Markdown of at most LONGEST characters; checks that do not fit are counted."""
    blocking = [check for check in verdict.checks if check.tier == "blocking"]
    ranked = sorted(blocking, key=lambda check: check.outcome in {"pass", "waived"})
    head = "\n".join(_head(verdict, about, gate))
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


def _head(verdict: Verdict, about: About, gate: str) -> Iterator[str]:
    yield from (marker_of(gate), f"### Holdfast: {SIGNS[verdict.verdict]}", "")
    if subject := subject_of(about):
        yield from (for_markdown(_cut(subject, SENTENCE)), "")


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
    if steps := next_steps(verdict, about):
        yield from ("", "**What to do next**", "", *_items(steps))
    if verdict.waivers_applied:
        yield from ("", "**Waived**", "", *_items(verdict.waivers_applied))
    if verdict.warnings:
        yield from ("", "<details><summary>Warnings</summary>", "")
        yield from _items(verdict.warnings)
        yield from ("", "</details>")
    yield ""
    which = [f"verdict `{verdict.digest[:12]}`", f"policy `{verdict.policy_digest[:12]}`"]
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
