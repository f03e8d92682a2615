"""No text of others is acted on: a table of hostile strings, put through everything that prints."""

import argparse
import io
import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from holdfast.api import wire
from holdfast.cli import command, main, stack
from holdfast.cli.admin import show_rows
from holdfast.cli.command import emit, note, note_table
from holdfast.cli.ladder_report import ladder_report
from holdfast.cli.progress import ProgressView
from holdfast.cli.reports import print_or_write
from holdfast.cli.show import show_verdict
from holdfast.cli.watch import say
from holdfast.errors import HarnessError
from holdfast.job import Status
from holdfast.ladder.front import Scores
from holdfast.report.beside import Extras, Worst, WorstFlip
from holdfast.report.render import RENDERERS, render
from holdfast.stack.log_lines import log_to_stderr
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import GroupRow
from tests.support.evidence import evidence, share
from tests.support.hostile import HOSTILE, acting, alive_in_markdown
from tests.support.verdicts import HARM, policy

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def verdict(text: str) -> Verdict:
    """A fail whose every text is the same."""
    files = [
        evidence(name, {"harm.direct": share(bad, 120)}) for name, bad in (("p", 0), ("c", 90))
    ]
    decided = decide(policy(HARM), *files)
    (check,) = decided.checks
    row = GroupRow.model_construct(**dict.fromkeys(GroupRow.model_fields, None)).model_copy(
        update={"group": text, "n": 7, "n_unscored": 0, "baseline": 0.0, "candidate": 1.0}
    )
    rules = tuple(rule.model_copy(update={"reason": text, "group": text}) for rule in check.rules)
    changes = {"id": text, "reason": text, "rules": rules, "groups": (row,)}
    return decided.model_copy(
        update={
            "checks": (check.model_copy(update=changes),),
            "reasons": (text, text),
            "warnings": (text,),
        }
    )


def extras(text: str) -> Extras:
    flip = WorstFlip(text, text, text, text, 0.0, 1.0, (text, text))
    return Extras(worst={text: Worst((flip,), 1)})


def options(**fields: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"json": False, "report": [], "output": None, **fields})


def failing(kind: type[Exception], *words: str) -> Callable[[str], object]:
    def run(text: str) -> None:
        def fail(_options: object) -> int:
            raise kind(text)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stack, "migrate", fail)
            assert main(["migrate", *words]) == 4

    return run


def event(text: str, kind: str = "claimed") -> wire.Event:
    document = {"why": text, "side": text, "probe": "p", "done": 2, "total": 2}
    return wire.Event(seq=1, job="eval_1", kind=kind, document=document, created_at=NOW)


def progress(text: str) -> None:
    with ProgressView() as view:
        view.show(event(text))
        view.show(event(text, "progress"))


def candidate(text: str) -> wire.Candidate:
    return wire.Candidate(
        id=text, recipe=text, options={text: text}, status=Status.FAILED, error=None, dropped=None,
        verdict=None, resisted=(), confirmed=None, scores=Scores(safety=0.1, over_refusal=0.1),
        pareto=True, chosen=True, seconds=1.0, tokens=1, checkpoint=None, screen_evaluation=None,
        confirm_evaluation=None,
    )  # fmt: skip


def ladder(text: str, form: str) -> str:
    step = {"step": {"found": None, "because": text}}
    made = wire.Remediation(
        id="rem_1", project="p", priority=0, deadline_at=NOW, status=Status.FAILED, created_at=NOW,
        started_at=None, finished_at=None, attempts=1, error=None, evaluation="eval_1",
        recipe="auto", options={}, plan=None, progress=step, checkpoint=None, child_evaluation=None,
    )  # fmt: skip
    return ladder_report(made, (candidate(text),), form)


def logged(text: str) -> None:
    root, logger = logging.getLogger(), logging.getLogger("tests.inert")
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        log_to_stderr()
        logger.error("template: %s", text)
        {}[text]
    except KeyError as error:
        error.add_note(text)
        logger.exception("failed: %s", text, stack_info=True)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


PLACES: dict[str, Callable[[str], object]] = {
    "note": note,
    "emit": lambda text: emit(options(), None, text),
    "emit --json": lambda text: emit(options(json=True), {text: text}, ""),
    "table": lambda text: note_table(("a", "b"), [(text, text)]),
    "rows": lambda text: show_rows(options(), {}, ("a", "b"), [(text, text)]),
    "error": failing(HarnessError),
    "error --json": failing(HarnessError, "--json"),
    "crash": failing(RuntimeError),
    "progress": progress,
    "watch": lambda text: say(options(), Path("/x"), "eval_1", verdict(text)),
    "watch --json": lambda text: say(options(json=True), Path("/x"), "eval_1", verdict(text)),
    "verdict": lambda text: show_verdict(options(), verdict(text), None),  # type: ignore[arg-type]
    "log": logged,
    **{
        f"report {form}": lambda text, form=form: print_or_write(  # type: ignore[misc]
            options(), render(verdict(text), form, extras(text)), form
        )
        for form in RENDERERS
    },
    **{
        f"ladder {form}": lambda text, form=form: print_or_write(  # type: ignore[misc]
            options(), ladder(text, form), form
        )
        for form in ("text", "md", "html")
    },
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_is_printed_is_acted_on(
    name: str,
    place: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    PLACES[place](HOSTILE[name])
    shown = capsys.readouterr()
    assert shown.out + shown.err
    assert acting(shown.out) == []
    assert acting(shown.err) == []
    if place.endswith("json"):
        json.loads(shown.out)
    if place.endswith("md"):
        assert alive_in_markdown(shown.out) == []
    if place.endswith("junit"):
        ET.fromstring(shown.out)
    if place.endswith("html"):
        assert "<img" not in shown.out
        assert "<b>" not in shown.out


@pytest.mark.parametrize("form", [form for form in RENDERERS if form != "json"])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_a_report_that_becomes_a_file_is_acted_on(name: str, form: str) -> None:
    text = HOSTILE[name]
    assert acting(render(verdict(text), form, extras(text))) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_json_stays_the_same_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = HOSTILE[name]
    emit(options(json=True), {"a": [text, {text: None}]}, "")
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"a": [text, {text: None}]}
    shown.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_bars_and_tables_of_a_terminal_read_no_markup(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    text = HOSTILE[name]
    monkeypatch.setenv("TERM", "dumb")  # no bars are drawn over, and no colours
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(sys, "stderr", Terminal())
    note_table(("a",), [(text,)])
    progress(text)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert acting(shown.replace("\x1b[?25l", "").replace("\x1b[?25h", "")) == []
    if name == "markup of rich":
        assert shown.count("[red]r[/red] [link=file:///etc]l[/link] [/] :skull:") >= 2


def test_ordinary_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    lines = "Größe 5 % → 0.10: ok\n  a::b\tthe C++ of #1 [x] ## heading\n日本語 العربية"
    emit(options(), None, lines)
    assert capsys.readouterr().out == f"{lines}\n"
    for line in lines.replace("\t", " ").split("\n"):
        note(line)
    assert capsys.readouterr().err == f"{lines}\n".replace("\t", " ")


def test_nothing_of_the_command_line_prints_but_by_the_places_above() -> None:
    folder = Path(command.__file__).parent
    printing = re.compile(r"\bprint\(|std(out|err)\.write\(|\bConsole\(|\bprint_exc\(")
    files = {file.name for file in folder.glob("*.py") if printing.search(file.read_text())}
    assert files == {"command.py", "progress.py"}
