"""One verdict, many formats: each is made of the same object, so none can say anything else."""

from collections.abc import Callable

from holdfast.errors import CallerError, NotBuilt
from holdfast.renderers.junit import render_junit
from holdfast.renderers.markdown import render_markdown
from holdfast.renderers.text import render_text
from holdfast.verdict import Verdict

RENDERERS: dict[str, Callable[[Verdict], str]] = {
    "text": render_text,
    "md": render_markdown,
    "json": lambda verdict: verdict.to_json().decode(),
    "junit": render_junit,
}
PLANNED = ("html", "sarif")


def render(verdict: Verdict, format: str) -> str:  # noqa: A002  # the CLI's own word, --format
    """The verdict as text, md, json or junit."""
    if format in PLANNED:
        raise NotBuilt(
            f"the report format {format} is not built in this version; use {', '.join(RENDERERS)}"
        )
    if format not in RENDERERS:
        raise CallerError(f"unknown report format {format!r}, expected {', '.join(RENDERERS)}")
    return RENDERERS[format](verdict)
