"""What `holdfast check` refuses before it starts a stack, and what it lets that stack read."""

import os
from pathlib import Path

import pytest

from holdfast.cli import main, parser
from holdfast.cli.check import stack_settings
from tests.support.folders import write_checkpoint


def test_its_stack_may_read_the_folders_that_are_named_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOLDFAST_CHECKPOINT_ROOTS", raising=False)
    named = {name: tmp_path / name / "it" for name in ("base", "lora", "parent", "rows")}
    for folder in named.values():
        folder.mkdir(parents=True)
    words = ["check", str(named["base"]), "--adapter", str(named["lora"])]
    words += ["--baseline", str(named["parent"]), "--anchor", "alias:golden"]
    words += ["--task-data", str(named["rows"] / "rows.jsonl")]
    options = parser().parse_args(words)
    settings = stack_settings(tmp_path / "home", options)
    usual = stack_settings(
        tmp_path / "home",
        parser().parse_args(["check", "ckpt_1", "--baseline", "ckpt_2"]),
    )
    assert set(settings.checkpoint_roots) - set(usual.checkpoint_roots) == {
        named["base"].parent,
        named["lora"].parent,
        named["parent"].parent,
        named["rows"],
    }


WITH_ANCHOR = """\
version: 1
name: pinned
baselines: {anchor: required}
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("absent", "--baseline", "same"), "absent does not exist in"),
        (("same", "--baseline", "/nowhere/absent"), "/nowhere/absent does not exist"),
        (("same", "--baseline", "same", "--anchor", "empty"), "no config.json"),
        (("empty", "--baseline", "same"), "no config.json"),
        (("same", "--baseline", "same", "--adapter", "same"), "adapter_config.json"),
        (
            ("same", "--baseline", "same", "--task-data", "rows.jsonl"),
            "line 1: its keys are prompt,",
        ),
        (("same", "--baseline", "same", "--policy", "absent.yaml"), "absent.yaml cannot be read"),
        (("same", "--baseline", "same", "--policy", "pinned.yaml"), "requires an anchor"),
        (("same", "--baseline", "alias:no name"), "alias"),
        (("same", "--baseline", "same", "--template", "own.jinja"), "invalid choice: 'own.jinja'"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_starts(
    words: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "same")
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "pinned.yaml").write_text(WITH_ANCHOR)
    assert main(["check", *words, "--home", str(tmp_path / "home")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
