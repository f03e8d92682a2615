import argparse
import inspect
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from pkgutil import resolve_name

import pytest

from holdfast import importers
from holdfast.cli import NOT_BUILT, judges, main, stack
from holdfast.cli.arguments import FORMATS, PUBLISHED, READERS
from holdfast.cli.command import Command
from holdfast.cli.table import COMMANDS
from holdfast.errors import (
    Forbidden,
    HarnessError,
    HoldfastError,
    InvalidPolicy,
    NotFound,
    Unauthorized,
    Unreachable,
)
from holdfast.report.render import RENDERERS
from holdfast.verdict.document import EXIT_CODES

BUILT = {
    *("check", "up", "serve", "worker", "sweep", "migrate", "submit", "wait", "verdict", "gate"),
    *("report", "evidence", "remediate", "compare", "chain", "prune", "comment"),
    *("list", "show", "cancel", "retry"),
    *(
        "policy lint",
        "policy show",
        "policy diff",
        "policy replay",
        "waive",
        "selftest",
        "doctor",
        "watch",
    ),
    *("baseline get", "baseline set", "baseline history"),
    *("keys create", "keys list", "keys revoke"),
    *("project show", "project set", "waivers give", "waivers list", "waivers revoke"),
    *("audit export", "audit verify", "data audit"),
    *("judges evaluate", "judges list", "judges rejudge"),
    *("suites import", "suites list", "suites verify"),
}


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """`holdfast migrate` that ends with an error."""

    def run(_options: object) -> int:
        raise error

    monkeypatch.setattr(stack, "migrate", run)


def test_the_table_holds_each_command_of_this_version_once() -> None:
    names = [command.name for command in COMMANDS]
    assert sorted(names) == sorted(BUILT)
    assert not set(names) & set(NOT_BUILT)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_a_function_of_its_options(command: Command) -> None:
    (options,) = inspect.signature(resolve_name(command.run)).parameters.values()
    assert options.annotation is argparse.Namespace


def test_help_names_what_there_is() -> None:
    """The words stand in the table itself, since what they name takes long to import."""
    assert ", ".join(RENDERERS) == FORMATS
    assert ", ".join(importers.FORMATS) == PUBLISHED
    assert ", ".join(judges.READERS) == READERS


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"holdfast {metadata.version('holdfast')}\n"


HEAVY = "{'numpy', 'scipy', 'sqlalchemy', 'pydantic', 'httpx', 'rich'}"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["submit"], ["keys", "--help"], []])
def test_help_and_usage_errors_import_nothing_that_takes_long(words: list[str]) -> None:
    script = (
        "import sys\n"
        "from holdfast.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        "names = {name.partition('.')[0] for name, module in sys.modules.items() if module}\n"
        f"sys.stderr.write(repr(sorted(names & {HEAVY})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith("[]")


@pytest.mark.parametrize("name", sorted(BUILT))
def test_every_command_takes_json_and_explains_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--help", "-h"])
@pytest.mark.parametrize(
    "words",
    ["check WORD --baseline base", "submit WORD --json", "check x --baseline b WORD", "WORD check"],
)
def test_help_beside_other_words_is_no_pass(
    words: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint's name that comes from a variable of CI may be called like an option."""
    assert main(words.replace("WORD", word).split()) == 2
    said = capsys.readouterr()
    assert "usage: holdfast" in said.out
    assert "nothing was run" in said.err


@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_is_designed_but_not_built_is_refused_by_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*name.split(), "--json"]) == 2
    said = capsys.readouterr()
    assert f"`holdfast {name}` is not built yet" in said.err
    assert json.loads(said.out)["error"]["title"] == "NotBuilt"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-such-command"],
        ["policy"],
        ["gate"],
        ["gate", "--baseline", "a", "--candidate", "b"],
        ["submit", "x", "--baseline", "y", "--timeout", "nan"],
        ["submit", "x", "--baseline", "y", "--timeout", "-1"],
        ["submit", "x", "--baseline", "y", "--tier", "grand"],
        ["wait", "ckpt_1"],
        ["submit", "x", "--baselin", "y"],
        ["remediate", "eval_1", "--recipe", "prayer"],
        ["remediate", "eval_1", "--recipe", "rehearsal", "--steps", "0"],
        ["keys", "create", "--name", "n", "--scopes", "everything"],
        ["wait", "eval_1", "--report", "junit"],
        ["wait", "eval_1", "--report", "pdf=x.pdf"],
        ["policy", "lint", "/nowhere/policy.yaml"],
    ],
)
def test_a_usage_error_is_exit_2_and_one_json_document(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().out == ""
    assert main([*words, "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["exit_code"] == 2
    assert said.err.startswith("holdfast: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("unforeseen"), 4),
        (ZeroDivisionError(), 4),
        (MemoryError(), 4),
        (KeyboardInterrupt(), 130),
        (HarnessError("broken"), 4),
        (Unreachable("gone"), 4),
        (Unauthorized("who"), 4),
        (Forbidden("no"), 4),
        (NotFound("what"), 2),
        (InvalidPolicy("bad"), 2),
    ],
)
def test_no_exception_reads_as_a_regression_or_a_pass(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(monkeypatch, error)
    assert main(["migrate", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == code


def every_error() -> list[type[HoldfastError]]:
    found, todo = [], [HoldfastError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", every_error())
def test_no_error_has_the_exit_code_of_a_verdict(kind: type[HoldfastError]) -> None:
    assert kind.exit_code not in EXIT_CODES.values()


def test_the_command_line_never_imports_what_it_starts(tmp_path: Path) -> None:
    script = (
        "import sys, holdfast.stack.embedded\n"
        "from pkgutil import resolve_name\n"
        "from holdfast.cli.table import COMMANDS\n"
        "for command in COMMANDS: resolve_name(command.run)\n"
        "names = {name.partition('.')[0] for name, module in sys.modules.items() if module}\n"
        "print(sorted(names & {'service', 'workers', 'training', 'torch', 'transformers', 'vllm'}))"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
