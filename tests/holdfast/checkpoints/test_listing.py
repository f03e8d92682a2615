"""Folders as people have them: which are the clean checkpoint still, and which are refused."""

import re
import shlex
from pathlib import Path

import pytest

from holdfast.checkpoints.checkpoint import admit
from holdfast.errors import CheckpointRefused
from tests.support.checkpoint_files import sound_checkpoint
from tests.support.folder_layouts import JUDGED, REFUSED, Build


@pytest.mark.parametrize(
    ("build", "ignored"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_folders_that_are_the_clean_checkpoint(
    build: Build, ignored: tuple[str, ...], tmp_path: Path
) -> None:
    clean = admit(str(sound_checkpoint(tmp_path / "clean")), [tmp_path])
    ref = admit(str(build(sound_checkpoint(tmp_path / "model"))), [tmp_path])
    assert (ref.digest, ref.template_sha256) == (clean.digest, clean.template_sha256)
    assert ref.ignored == ignored


@pytest.mark.parametrize(
    ("build", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_folders_of_which_no_model_can_be_told(build: Build, words: str, tmp_path: Path) -> None:
    folder = build(sound_checkpoint(tmp_path / "model"))
    with pytest.raises(CheckpointRefused, match=re.escape(words)):
        admit(str(folder), [tmp_path])


def test_the_command_that_converts_a_pickle_can_be_pasted_whatever_the_folder_is_called(
    tmp_path: Path,
) -> None:
    folder = sound_checkpoint(tmp_path / "Sam's run 1")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointRefused, match="a pickle can run code") as refused:
        admit(str(folder), [tmp_path])
    _, command = str(refused.value).split("convert it with ")
    python, _, program, *names = shlex.split(command)
    assert (python, names) == ("python", [str(folder), "NEW"])
    compile(program, "program", "exec")
