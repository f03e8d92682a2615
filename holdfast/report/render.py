"""Renders one verdict in many formats, all from the same object, so that they always agree.

What stands beside it (holdfast/report/beside.py) is shown as such, and is no part of what
was decided.
"""

import json
from collections.abc import Callable

from holdfast.errors import CallerError
from holdfast.report.beside import Extras
from holdfast.report.text import render_text
from holdfast.verdict.document import Verdict


def render_json(verdict: Verdict, extras: Extras) -> str:
    """The verdict's own bytes; with a `noise` key where noise was measured."""
    if not extras.noise:
        return verdict.to_json().decode()
    noise = {probe: floor.model_dump() for probe, floor in extras.noise.items()}
    document = verdict.model_dump(mode="json") | {"noise": noise}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"


def _markdown(verdict: Verdict, extras: Extras) -> str:
    from holdfast.report.markdown import render_markdown

    return render_markdown(verdict, extras)


def _html(verdict: Verdict, extras: Extras) -> str:
    from holdfast.report.html import render_html

    return render_html(verdict, extras)


def _junit(verdict: Verdict, _extras: Extras) -> str:
    from holdfast.report.junit import render_junit

    return render_junit(verdict)


def _sarif(verdict: Verdict, extras: Extras) -> str:
    from holdfast.report.sarif import render_sarif

    return render_sarif(verdict, extras.place)


def _code_quality(verdict: Verdict, extras: Extras) -> str:
    from holdfast.report.code_quality import render_code_quality

    return render_code_quality(verdict, extras.place)


# text and json are what commands print; the others are imported by who asks for them
RENDERERS: dict[str, Callable[[Verdict, Extras], str]] = {
    "text": render_text,
    "md": _markdown,
    "html": _html,
    "json": render_json,
    "junit": _junit,
    "sarif": _sarif,
    "codequality": _code_quality,
}
NAMES_FLIPS = ("md", "html")
NAMES_PLACES = ("sarif", "codequality")


def render(verdict: Verdict, format: str, extras: Extras | None = None) -> str:  # noqa: A002  # --format
    """The verdict as text, md, html, json, junit, sarif or codequality."""
    if format not in RENDERERS:
        raise CallerError(f"unknown report format {format!r}, expected {', '.join(RENDERERS)}")
    return RENDERERS[format](verdict, extras or Extras())
