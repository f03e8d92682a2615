"""Which files of a checkpoint are refused, and in which words."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.checkpoints.checkpoint import admit
from holdfast.checkpoints.json_files import MAX_JSON_DEPTH, strict_json
from holdfast.errors import CheckpointRefused, NotBuilt
from tests.support.checkpoint_files import HEADER, safetensors, sound_checkpoint, tensor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sound_checkpoint(tmp_path / "model")


def nest(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


FILES: list[tuple[str, bytes | Callable[[Path], None], str]] = [
    ("vocab.txt", link("/etc/hostname"), "leads out of the allowed roots"),
    ("notes.txt", link("/etc/hostname"), "notes.txt is a symbolic link that leads out"),
    ("merges.txt", link("nowhere"), "is a link to nothing"),
    ("vocab.txt", os.mkfifo, "not a plain file"),
    ("vocab.json", b'{"a": 1, "a": 2}', "stands twice"),
    ("vocab.json", b'{"a": ', "not JSON, line 1"),
    ("vocab.json", b'"\xe9"', "not UTF-8 at byte 1"),
    ("vocab.json", nest(MAX_JSON_DEPTH + 1), "nested deeper than 64"),
    ("vocab.json", b"[" * 1_000_000, "nested deeper than 64"),
    ("vocab.json", b"9" * 5_000, "digits"),
    ("vocab.json", b" " * 32_000_001, "32000001 bytes of JSON, at most 32000000"),
    ("tokenizer.json", b" " * 64_000_001, "64000001 bytes of JSON, at most 64000000"),
    ("config.json", b'{"model_type": "own", "x": [{"auto_map": {}}]}', "'auto_map' asks the"),
    ("config.json", b'{"model_type": "own", "custom_pipelines": 1}', "no model type that"),
    ("adapter_config.json", b"{}", "this one as its `adapter`"),
    ("config.json", b"{}", "model_type is None"),
    ("config.json", b"[]", "model_type is None"),
    ("config.json", b'{"model_type": "../x"}', "model_type is '../x'"),
    ("tokenizer_config.json", b"[]", "not a JSON object"),
    ("tokenizer_config.json", b'{"chat_template": 3}', "chat_template is no text"),
    ("chat_template.jinja", b"\xff", "is not UTF-8"),
    ("model-00001-of-00002.safetensors", safetensors(), "no model.safetensors.index.json says"),
    ("model.safetensors", b"", "too short"),
    ("model.safetensors", safetensors(length=2**40), "claims a header of"),
    ("model.safetensors", safetensors()[:-1], "but 13 follow"),
    ("model.safetensors", safetensors() + b"x", "but 15 follow"),
    ("model.safetensors", safetensors(b"{nope}"), "header is not JSON"),
    ("model.safetensors", safetensors(b'{"a":1,"a":1}'), "stands twice"),
    ("model.safetensors", safetensors(b"[]"), "not a JSON object"),
    ("model.safetensors", tensor(dtype="F31"), "dtype 'F31'"),
    ("model.safetensors", tensor(dtype=["F32"]), "dtype ['F32']"),
    ("model.safetensors", tensor(shape=[2, -1]), "not a list of sizes"),
    ("model.safetensors", tensor(shape=[True, 2]), "not a list of sizes"),
    ("model.safetensors", tensor(shape=[3]), "spans 8 bytes, but shape [3] of F32 takes 12"),
    ("model.safetensors", tensor(data_offsets=[0]), "are not two byte positions"),
    ("model.safetensors", tensor(data_offsets=[8, 0]), "spans -8 bytes"),
    ("model.safetensors", tensor(data_offsets=[4, 12]), "leaves a gap"),
    ("model.safetensors", tensor(extra=1), "exactly dtype, shape and data_offsets"),
    (
        "model.safetensors",
        safetensors({**HEADER, "c": HEADER["b"] | {"data_offsets": [2, 8]}}),
        "overlaps the tensor before it",
    ),
]


@pytest.mark.parametrize(("name", "content", "words"), FILES)
def test_files_that_are_refused(
    name: str, content: bytes | Callable[[Path], None], words: str, folder: Path, tmp_path: Path
) -> None:
    if callable(content):
        content(folder / name)
    else:
        (folder / name).write_bytes(content)
    with pytest.raises((CheckpointRefused, NotBuilt), match=re.escape(words)):
        admit(str(folder), [tmp_path])


@pytest.mark.parametrize(
    ("missing", "words"),
    [("config.json", "no config.json"), ("model.safetensors", "no .safetensors weights")],
)
def test_what_a_checkpoint_must_hold(
    missing: str, words: str, folder: Path, tmp_path: Path
) -> None:
    (folder / missing).unlink()
    with pytest.raises(CheckpointRefused, match=re.escape(words)):
        admit(str(folder), [tmp_path])


def test_all_that_is_wrong_is_said_at_once(folder: Path, tmp_path: Path) -> None:
    (folder / "vocab.json").write_text("[")
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").rename(folder / "model.safetensors.gone")
    (folder / "merges.txt").symlink_to("/etc/hostname")
    with pytest.raises(CheckpointRefused, match="4 things are wrong") as refused:
        admit(str(folder), [tmp_path])
    for words in ("(1) merges.txt", "(2) vocab.json", "(3) config.json", "(4) no .safetensors"):
        assert words in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "vocab.txt").touch()
    (folder / "vocab.txt").chmod(0)
    if os.access(folder / "vocab.txt", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(CheckpointRefused, match=r"vocab\.txt cannot be read \(Permission denied\)"):
        admit(str(folder), [tmp_path])


def test_a_vocabulary_may_hold_any_word(folder: Path, tmp_path: Path) -> None:
    (folder / "vocab.json").write_text('{"auto_map": 1, "trust_remote_code": 2}')
    assert admit(str(folder), [tmp_path]).ignored == ()


def test_code_that_a_built_in_model_does_not_need_is_no_part_of_it(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "config.json").write_text('{"model_type": "llama", "auto_map": {"AutoModel": "m.M"}}')
    (folder / "m.py").touch()
    assert admit(str(folder), [tmp_path]).ignored == ("m.py", "auto_map in config.json")


def test_too_many_files_are_refused(folder: Path, tmp_path: Path) -> None:
    for number in range(2_000):
        (folder / f"{number}.txt").touch()
    with pytest.raises(CheckpointRefused, match="more than 2000 files"):
        admit(str(folder), [tmp_path])


def test_json_as_deep_as_allowed_and_brackets_in_text_pass() -> None:
    assert strict_json(nest(MAX_JSON_DEPTH), "x") is not None
    assert strict_json(json.dumps("[" * 999 + '"\\').encode(), "x") == "[" * 999 + '"\\'
