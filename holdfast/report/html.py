"""The report as one page for a browser: no script, no request, light and dark.

It says what the other formats say and draws one thing more: each check's change with the interval
of margins that neither test refutes, beside its bound and the noise floor. What is drawn is said in
words as well.
"""

from collections.abc import Iterator, Sequence

from holdfast.readings.noise import in_words
from holdfast.report.about import next_steps, subject_of
from holdfast.report.beside import Extras, Worst, WorstFlip
from holdfast.report.escapes import for_html
from holdfast.report.interval_drawing import draw_interval
from holdfast.report.numbers import bias_of, change_of, interval_of, margin_of, number, spread_of
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult, GroupRow

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --faint: #5b6470; --line: #d5dae0;
  --pass: #17663a; --fail: #b3261e; --inconclusive: #7a5200; --shade: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #14171a; --faint: #a3adb8;
  --line: #39424c; --pass: #6fd196; --fail: #ff8f87; --inconclusive: #f0bf5c; --shade: #1d2226; } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem }
h1 { font-size: 1.6rem; margin: 0; padding: .6rem 1rem; border-left: .5rem solid }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem }
.pass { color: var(--pass) } .fail, .error { color: var(--fail) }
.inconclusive, .missing, .waived { color: var(--inconclusive) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--faint); padding-bottom: .4rem }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top }
td.outcome { font-weight: 600 }
svg { display: block; width: 11rem; height: 1.5rem }
ul { padding-left: 1.2rem } li { margin: .2rem 0 }
.said { background: var(--shade); padding: .5rem .8rem; margin: .3rem 0; overflow-wrap: anywhere }
footer { color: var(--faint); font-size: .875rem } code { font-size: .875rem }
"""

HEADER = ("Check", "Outcome", "Metric", "Baseline", "Candidate", "Change", "Interval", "Drawn")
MORE = ("Bound", "Sees", "n")
GROUP_HEADER = ("Group", "Outcome", "Baseline", "Candidate", "Change", "Biased", "Shrunken", "n")
FLIP_HEADER = ("Item", "Cluster", "Group", "Variant", "Baseline", "Candidate")


def render_html(verdict: Verdict, extras: Extras) -> str:
    """A whole document; every word from a file is escaped."""
    ranked = sorted(verdict.checks, key=lambda check: check.tier != "blocking")
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Holdfast: {verdict.verdict}</title><style>{STYLE}</style></head><body><main>",
            f'<h1 class="{verdict.verdict}">Holdfast: {verdict.verdict}</h1>',
            f"<p>{for_html(subject_of(extras.about))}</p>",
            *_section("Because", verdict.reasons),
            *_section("What to do next", next_steps(verdict, extras.about)),
            *_checks(ranked, extras),
            *(line for check in ranked for line in _check_details(check, extras)),
            *_section("Noise floor", in_words(extras.noise)),
            *_section("Warnings", verdict.warnings),
            "</main><footer><p>",
            f"Policy <code>{verdict.policy_digest[:12]}</code>,",
            f"verdict <code>{verdict.digest[:12]}</code>.",
            "</p></footer></body></html>",
        )
    )


def _checks(checks: Sequence[CheckResult], extras: Extras) -> Iterator[str]:
    caption = (
        "Interval: the margins that neither test refutes. Sees: the smallest worsening that would "
        "show with power 0.8. Drawn: that interval, the change (dot), its bound (line), and what "
        "moves when nothing changed (grey, where it was measured)."
    )
    rows = [(_outcome(check), [*_cells(check, extras)]) for check in checks]
    yield "<h2>Checks</h2>"
    yield from _table(caption, (*HEADER, *MORE), rows)


def _cells(check: CheckResult, extras: Extras) -> Iterator[str]:
    floor = extras.noise.get(check.id)
    yield for_html(check.id)
    yield check.outcome + (" (advisory)" if check.tier == "advisory" else "")
    yield for_html(check.metric.replace("_", " "))
    yield from (number(check.baseline), number(check.candidate), for_html(change_of(check)))
    yield interval_of(check)
    yield draw_interval(check, floor)
    yield from (for_html(margin_of(check)), number(check.mde))
    yield f"{check.n}" + (f" ({check.n_unscored} lost)" if check.n_unscored else "")


def _check_details(check: CheckResult, extras: Extras) -> Iterator[str]:
    name = for_html(check.id)
    if check.groups:
        yield f"<h2>{name} by group</h2>"
        notes = (spread_of(check.spread) if check.spread else None, bias_of(check))
        rows = [(row.outcome or "", [*_group(row)]) for row in check.groups]
        yield from _table("; ".join(filter(None, notes)), GROUP_HEADER, rows)
    if check.figures:
        yield f"<h2>{name}, beside the check</h2>"
        figures = [
            ("", [for_html(figure.name), number(figure.baseline), number(figure.candidate)])
            for figure in check.figures
        ]
        yield from _table("These decide nothing.", ("Figure", "Baseline", "Candidate"), figures)
    if worst := extras.worst.get(check.id):
        yield from _worst(name, worst)


def _group(row: GroupRow) -> Iterator[str]:
    yield from (for_html(row.group), row.outcome or "-", number(row.baseline))
    yield number(row.candidate)
    for value in (row.delta, row.biased, row.shrunken):
        yield number(value, signed=True)
    yield f"{row.n}" + (f" ({row.n_unscored} lost)" if row.n_unscored else "")


def _worst(name: str, worst: Worst) -> Iterator[str]:
    yield f"<h2>{name}, the worst flips</h2>"
    caption = f"{len(worst.flips)} of {worst.worse} that got worse, by badness from 0 to 1."
    yield from _table(caption, FLIP_HEADER, [("", [*_flip(flip)]) for flip in worst.flips])
    for flip in worst.flips:
        for side, text in zip(("baseline", "candidate"), flip.texts or (), strict=False):
            answer = for_html(text) or "(nothing)"
            yield f'<p class="said"><strong>{for_html(flip.item)}, {side}:</strong> {answer}</p>'


def _flip(flip: WorstFlip) -> Iterator[str]:
    yield from map(for_html, (flip.item, flip.cluster, flip.group or "-", flip.variant))
    yield from (number(flip.before), number(flip.after))


def _section(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        items = "".join(f"<li>{for_html(sentence)}</li>" for sentence in sentences)
        yield f"<section><h2>{title}</h2><ul>{items}</ul></section>"


def _table(
    caption: str, header: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]
) -> Iterator[str]:
    """Rows of (class of the outcome, cells that are escaped already); the first cell names it."""
    escaped_caption = for_html(caption)
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped_caption}">'
    yield f"<table><caption>{escaped_caption}</caption><thead>"
    yield "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in header) + "</tr></thead>"
    yield "<tbody>"
    for outcome, (first, second, *others) in rows:
        marked = f'<td class="outcome {outcome}">' if outcome else "<td>"
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        yield f'<tr><th scope="row">{first}</th>{marked}{second}</td>{cells}</tr>'
    yield "</tbody></table></div>"


def _outcome(check: CheckResult) -> str:
    return "" if check.tier == "advisory" else check.outcome
