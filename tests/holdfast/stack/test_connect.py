"""What a command line names, as the server is told it."""

from pathlib import Path

import pytest

from holdfast.errors import CheckpointRefused
from holdfast.ids import new_id
from holdfast.stack.connect import location


def test_what_lies_here_is_told_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt_500").mkdir()  # a trainer's folder, and no id
    assert location("ckpt_500") == location("./ckpt_500") == str(tmp_path / "ckpt_500")


def test_what_the_server_may_have_is_left_to_it() -> None:
    for text in (new_id("ckpt"), "file:///models/a", "hf://owner/name@1", "/models/a"):
        assert location(text) == text


def test_a_relative_path_that_leads_nowhere_is_refused_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("ckpt_500", "./candidate", "candidat/é"):
        with pytest.raises(CheckpointRefused, match=f"{text} does not exist in {tmp_path}"):
            location(text)
