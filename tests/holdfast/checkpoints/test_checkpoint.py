"""What `admit` takes, what it refuses and in which words, and what its digest stands for."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checkpoints.checkpoint import (
    FileEntry,
    admit,
    manifest_digest,
    verify_unchanged,
)
from holdfast.errors import CheckpointRefused, NotBuilt
from tests.support.architectures import same_architecture
from tests.support.checkpoint_files import CONFIG, HEADER, safetensors, shard, sound_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sound_checkpoint(tmp_path / "model")


def test_a_name_that_no_column_holds_is_cut(tmp_path: Path) -> None:
    folder = sound_checkpoint(tmp_path / ("n" * 201))
    assert admit(str(folder), [tmp_path]).name == "n" * 200


def test_a_sound_checkpoint_is_known_by_its_files(folder: Path, tmp_path: Path) -> None:
    ref = admit(str(folder), [tmp_path])
    assert [entry.path for entry in ref.files] == [
        "LICENSE",
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
    ]
    for entry in ref.files:
        content = (folder / entry.path).read_bytes()
        assert (entry.size, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert re.fullmatch("sha256:[0-9a-f]{64}", ref.digest)
    assert ref.template_sha256 == hashlib.sha256(b"{{ messages }}").hexdigest()
    assert (ref.name, ref.path) == ("model", folder)


def test_every_way_to_name_a_folder_gives_the_same_ref(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refs = [
        admit(uri, [tmp_path])
        for uri in (
            str(folder),
            folder.as_uri(),
            f"file://localhost{folder}",
            "model",
            "x/../model/",
        )
    ]
    assert all(ref == refs[0] for ref in refs)


def test_the_digest_is_of_content_and_names_only(folder: Path, tmp_path: Path) -> None:
    before = admit(str(folder), [tmp_path]).digest
    moved = folder.rename(tmp_path / "elsewhere")
    os.utime(moved / "config.json", (1, 1))
    assert admit(str(moved), [tmp_path]).digest == before
    (moved / "LICENSE").rename(moved / "NOTICE")
    assert admit(str(moved), [tmp_path]).digest != before


@given(
    st.lists(st.tuples(st.text("ab./", min_size=1), st.integers(0, 9), st.text("01")), unique=True)
)
def test_the_manifest_digest_ignores_order(rows: list[tuple[str, int, str]]) -> None:
    entries = [FileEntry(*row) for row in rows]
    assert manifest_digest(entries) == manifest_digest(entries[::-1])


def test_a_link_is_followed_to_a_place_under_a_root_and_no_further(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "roots").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "latest").symlink_to(folder, target_is_directory=True)
    for named, root in (("roots/model", "roots"), ("latest", "."), ("roots/latest", "roots")):
        assert admit(str(tmp_path / named), [tmp_path / root]).path == folder
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "latest").symlink_to(folder, target_is_directory=True)
    with pytest.raises(CheckpointRefused, match="outside the allowed roots"):
        admit(str(tmp_path / "mine" / "latest"), [tmp_path / "mine"])


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("hf://owner/name@" + "0" * 40, NotBuilt, "hf:// is not available"),
        ("s3://bucket/model", NotBuilt, "s3:// is not available"),
        ("https://example.org/model", NotBuilt, "https:// is not available"),
        ("file://elsewhere/model", CheckpointRefused, "names another host"),
        ("/etc", CheckpointRefused, "outside the allowed roots"),
        ("ROOT/..", CheckpointRefused, "outside the allowed roots"),
        ("/nowhere/model", CheckpointRefused, "/nowhere/model does not exist"),
        ("ROOT/absent", CheckpointRefused, "does not exist"),
        ("ROOT/model/config.json", CheckpointRefused, "is not a readable folder"),
    ],
)
def test_sources_that_are_refused(
    uri: str, error: type[Exception], words: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        admit(uri.replace("ROOT", str(tmp_path)), [tmp_path])


def test_no_root_means_no_checkpoint(folder: Path) -> None:
    with pytest.raises(CheckpointRefused, match="none is set"):
        admit(str(folder), [])


def test_shards_pass_where_index_and_files_agree(folder: Path, tmp_path: Path) -> None:
    shard(folder)
    assert len(admit(str(folder), [tmp_path]).files) == 6


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        ({"a": "part-a.safetensors", "b": "part-c.safetensors"}, "names part-c.safetensors, which"),
        (
            {"a": "part-a.safetensors", "b": "part-b.safetensors", "c": "part-d.safetensors"},
            "still being written or incomplete",
        ),
        (
            {"a": "part-a.safetensors", "b": "part-b.safetensors", "c": "part-b.safetensors"},
            "tensor 'c' stands in only one of index and file",
        ),
        ({"a": "../part-a.safetensors"}, "expected the name of a .safetensors file beside it"),
        ({"a": 1}, "expected the name of a .safetensors file beside it"),
    ],
)
def test_an_index_that_is_refused(
    weight_map: dict[str, Any], words: str, folder: Path, tmp_path: Path
) -> None:
    shard(folder, weight_map)
    with pytest.raises(CheckpointRefused, match=re.escape(words)):
        admit(str(folder), [tmp_path])


def rewrite(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[::-1])
    return path


@pytest.mark.parametrize(
    "tamper",
    [
        lambda folder: rewrite(folder / "model.safetensors"),
        lambda folder: (folder / "LICENSE").unlink(),
        lambda folder: (folder / "added.txt").touch(),
        lambda folder: (folder / "linked.txt").symlink_to("LICENSE"),
        lambda folder: (folder / "config.json").rename(folder / "c.json"),
    ],
)
def test_a_change_after_admission_is_noticed(
    tamper: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    ref = admit(str(folder), [tmp_path])
    verify_unchanged(ref)
    tamper(folder)
    with pytest.raises(CheckpointRefused, match="changed after it was admitted"):
        verify_unchanged(ref)


@pytest.mark.parametrize(
    "touch",
    [
        lambda folder: (folder / "model.safetensors").chmod(0o600),
        lambda folder: os.utime(folder / "model.safetensors", (1, 1)),
        lambda folder: os.link(folder / "model.safetensors", folder.parent / "linked"),
        lambda folder: rewrite(rewrite(folder / "model.safetensors")),
        lambda folder: (folder / "optimizer.pt").touch(),
        lambda folder: (folder / "checkpoint-9").mkdir(),
        lambda folder: (folder / "broken.txt").symlink_to("nowhere"),
    ],
)
def test_what_leaves_the_content_as_it_was_is_no_change(
    touch: Callable[[Path], object], folder: Path, tmp_path: Path
) -> None:
    ref = admit(str(folder), [tmp_path])
    touch(folder)
    verify_unchanged(ref)


def test_a_model_that_is_copied_over_another_is_noticed(folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    time.sleep(0.2)  # so that its stamp lasts
    ref = admit(str(folder), [tmp_path])
    before = weights.stat()
    rewrite(weights)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -a` does
    after = weights.stat()
    for name in ("st_ino", "st_size", "st_mtime_ns"):
        assert getattr(before, name) == getattr(after, name)
    with pytest.raises(CheckpointRefused, match="changed after it was admitted"):
        verify_unchanged(ref)


def twin(folder: Path, config: dict[str, Any], header: dict[str, Any] = HEADER) -> Path:
    other = folder.parent / "twin"
    other.mkdir(exist_ok=True)
    (other / "config.json").write_text(json.dumps(config))
    (other / "model.safetensors").write_bytes(safetensors(header, bytes(14)))
    return other


def test_architecture_is_config_and_tensors_but_not_who_saved_them(folder: Path) -> None:
    assert same_architecture(folder, twin(folder, CONFIG | {"transformers_version": "5"}))
    renamed = {k: v for k, v in CONFIG.items() if k != "torch_dtype"} | {"dtype": "float32"}
    assert same_architecture(folder, twin(folder, renamed))
    assert not same_architecture(folder, twin(folder, CONFIG | {"torch_dtype": "bfloat16"}))
    assert not same_architecture(folder, twin(folder, CONFIG | {"hidden_size": 4}))
    reshaped = {**HEADER, "a": HEADER["a"] | {"shape": [1, 2]}}
    assert not same_architecture(folder, twin(folder, CONFIG, reshaped))
    other = twin(folder, CONFIG)
    shard(other)
    assert same_architecture(folder, other)


def test_admission_imports_no_model_library() -> None:
    heavy = "{'torch', 'transformers', 'safetensors', 'numpy'}"
    code = f"import sys, holdfast.checkpoints.checkpoint; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
