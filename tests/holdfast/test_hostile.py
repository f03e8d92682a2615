"""Hostile files of every kind: refused in a sentence, within bounds, and nothing else happens.

Five seconds of processor time and 300 MB of address space are the child's own limits, so none of
this depends on how busy the machine is.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support import hostile_checkpoints as checkpoints
from tests.support import hostile_files as files
from tests.support.checkpoint_files import sound_checkpoint
from tests.support.folders import write_tensors

Ask = Callable[..., dict[str, Any]]
Readers = Callable[[str], subprocess.Popen[str]]

LONGEST = 4_000  # characters of a refusal
KINDS: dict[str, tuple[Mapping[str, tuple[checkpoints.Change, str]], str]] = {
    "task": (files.ANY | files.TASKS, "InvalidTaskData"),
    "suite": (files.ANY | files.SUITES, "InvalidSuite"),
    "published": (files.ANY | files.PUBLISHED, "InvalidSuite"),
    "evidence": (files.ANY | files.EVIDENCE, "InvalidEvidence"),
    "policy": (files.ANY | files.POLICIES, "InvalidPolicy"),
    "labels": (files.ANY | files.LABELS, "InvalidLabels"),
    "texts": (files.ANY | files.TEXTS, "InvalidSettings"),
}
FILES = [(kind, name) for kind, (table, _) in KINDS.items() for name in table]


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    """A reader of each kind, started when it is asked for."""
    with ExitStack() as stack:

        @cache
        def reader(kind: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.hostile_run", kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield reader


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The allowed root; beside it lies a folder that is none."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.json").write_text('{"model_type": "llama"}')
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def refusal(readers: Readers, root: Path) -> Ask:
    """How what is named was refused, once it is seen that nothing else happened."""

    def ask(kind: str, named: str, adapter: str | None = None) -> dict[str, Any]:
        reader = readers(kind)
        assert reader.stdin is not None
        assert reader.stdout is not None
        request = {"kind": kind, "named": named, "adapter": adapter, "root": str(root)}
        reader.stdin.write(json.dumps(request) + "\n")
        reader.stdin.flush()
        answer: dict[str, Any] = json.loads(reader.stdout.readline())
        assert answer["status"] == 0, "the reader was ended: out of time or memory"
        assert answer["error"] is not None, "it was taken"
        assert answer["exit_code"] == 2
        assert 20 < len(answer["detail"]) < LONGEST
        assert not [event for event in answer["seen"] if not event.startswith("open ")]
        assert not [event for event in answer["seen"] if "secret" in event or "/dev" in event]
        assert not list(root.rglob("ran")), "code of the folder ran"
        return answer

    return ask


@pytest.mark.parametrize("name", checkpoints.FOLDERS)
def test_a_folder_is_refused(name: str, root: Path, refusal: Ask) -> None:
    change, words = checkpoints.FOLDERS[name]
    change(folder := sound_checkpoint(root / "model"))
    answer = refusal("checkpoint", str(folder))
    assert answer["error"] == "CheckpointRefused"
    assert words in answer["detail"]


@pytest.mark.parametrize("name", checkpoints.ADAPTERS)
def test_an_adapter_is_refused(name: str, root: Path, refusal: Ask) -> None:
    base = sound_checkpoint(root / "model")
    (adapter := root / "adapter").mkdir()
    config = json.dumps(checkpoints.ADAPTER_CONFIG)
    (adapter / "adapter_config.json").write_text(config)
    names = ("base_model.model.a.lora_A.weight", "base_model.model.a.lora_B.weight")
    write_tensors(adapter / "adapter_model.safetensors", {names[0]: (2, 1), names[1]: (2, 2)})
    change, words = checkpoints.ADAPTERS[name]
    change(adapter)
    answer = refusal("checkpoint", str(base), str(adapter))
    assert answer["error"] == "CheckpointRefused"
    assert words in answer["detail"]


@pytest.mark.parametrize("source", checkpoints.SOURCES, ids=lambda source: ascii(source)[:24])
def test_a_source_is_refused(source: str, refusal: Ask) -> None:
    answer = refusal("checkpoint", source)
    assert answer["error"] in {"CheckpointRefused", "NotBuilt"}
    assert checkpoints.SOURCES[source] in answer["detail"]


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_a_file_is_refused(kind: str, name: str, root: Path, refusal: Ask) -> None:
    table, error = KINDS[kind]
    change, words = table[name]
    change(root)
    answer = refusal(kind, str(root / files.NAME))
    assert answer["error"] == error
    assert words in answer["detail"]


def test_a_sound_folder_is_taken_by_the_same_reader(root: Path, refusal: Ask) -> None:
    folder = sound_checkpoint(root / "model")
    with pytest.raises(AssertionError, match="it was taken"):
        refusal("checkpoint", str(folder))
