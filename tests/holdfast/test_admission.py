"""Which files of a checkpoint are refused, and in which words."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.admission import MAX_JSON_DEPTH, strict_json
from holdfast.checkpoint import admit
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
    ("modeling.py", b"", "can run code"),
    ("pytorch_model.bin", b"", "can run code"),
    ("op.so", b"", "can run code"),
    ("optimizer.pt", b"", "can run code"),
    ("rng.pth", b"", "can run code"),
    ("weights.pkl", b"", "can run code"),
    ("model.gguf", b"", "can run code"),
    ("LICENSE.exe", b"", "can run code"),
    ("noextension", b"", "can run code"),
    ("a b.txt", b"", "letters, digits, dot, dash and underscore"),
    ("caf\u00e9.txt", b"", "letters, digits, dot, dash and underscore"),
    ("notes.txt", link("/etc/hostname"), "symbolic link"),
    ("vocab.txt", lambda path: os.link(path.parent / "LICENSE", path), "hard link"),
    ("pipe.txt", os.mkfifo, "not a plain file"),
    ("deep", lambda path: (path / "b/c/d/e").mkdir(parents=True), "nest deeper than 4"),
    ("twice.json", b'{"a": 1, "a": 2}', "stands twice"),
    ("auto.json", b'{"x": [{"auto_map": {}}]}', "'auto_map' asks the loader to run code"),
    ("pipe.json", b'{"custom_pipeline": "x"}', "'custom_pipeline' asks"),
    ("trust.json", b'{"trust_remote_code": false}', "'trust_remote_code' asks"),
    ("cut.json", b'{"a": ', "not JSON, line 1"),
    ("latin.json", b'"\xe9"', "not UTF-8 at byte 1"),
    ("deep.json", nest(MAX_JSON_DEPTH + 1), "nested deeper than 64"),
    ("bomb.json", b"[" * 1_000_000, "nested deeper than 64"),
    ("digits.json", b"9" * 5_000, "digits"),
    ("huge.json", b" " * 32_000_001, "32000001 bytes of JSON"),
    ("adapter_config.json", b"{}", "this one as its `adapter`"),
    ("config.json", b"{}", "model_type is None"),
    ("config.json", b"[]", "model_type is None"),
    ("config.json", b'{"model_type": "../x"}', "model_type is '../x'"),
    ("tokenizer_config.json", b"[]", "not a JSON object"),
    ("tokenizer_config.json", b'{"chat_template": 3}', "chat_template is no text"),
    ("chat_template.jinja", b"\xff", "is not UTF-8"),
    ("other.safetensors", safetensors(), "it lies there besides"),
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


def test_too_many_files_are_refused(folder: Path, tmp_path: Path) -> None:
    for number in range(2_000):
        (folder / f"{number}.txt").touch()
    with pytest.raises(CheckpointRefused, match="more than 2000 files"):
        admit(str(folder), [tmp_path])


def test_json_as_deep_as_allowed_and_brackets_in_text_pass() -> None:
    assert strict_json(nest(MAX_JSON_DEPTH), "x") is not None
    assert strict_json(json.dumps("[" * 999 + '"\\').encode(), "x") == "[" * 999 + '"\\'
