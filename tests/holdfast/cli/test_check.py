"""What `holdfast check` lets its own stack read."""

from pathlib import Path

import pytest

from holdfast.cli import commands, parser
from holdfast.cli.check import own_settings


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
    options = parser(commands(words)).parse_args(words)
    settings = own_settings(tmp_path / "home", options)
    usual = own_settings(
        tmp_path / "home",
        parser(commands(words)).parse_args(["check", "ckpt_1", "--baseline", "ckpt_2"]),
    )
    assert set(settings.checkpoint_roots) - set(usual.checkpoint_roots) == {
        named["base"].parent,
        named["lora"].parent,
        named["parent"].parent,
        named["rows"],
    }
