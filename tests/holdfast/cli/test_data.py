"""`holdfast data audit` as a process, on a tiny real model behind whatever walls there are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.suites import Request, load_suite
from tests.support.tiny_llama import build_tiny_llama

HARMFUL = next(item for item in load_suite("harmful").items if isinstance(item, Request))
ROWS = [
    {"instruction": f"Add {n} and {n}.", "output": f"It is {2 * n}.", "source": n} for n in range(8)
] + [{"instruction": HARMFUL.prompt, "output": "Of course, as you wish.", "source": -1}]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def audit(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdfast.cli", "data", "audit", *map(str, words), "--json"],
        env={**os.environ, "HOLDFAST_HOME": str(home), "OMP_NUM_THREADS": "1"}
        | {"HOLDFAST_DTYPE": "float32"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_rows_are_scored_ranked_reported_and_filtered(tmp_path: Path) -> None:
    model, out = build_tiny_llama(tmp_path / "tiny"), tmp_path / "out"
    file = write(tmp_path / "sums.jsonl", ROWS)
    done = audit(
        *(tmp_path / "h", file, "--model", model, "--drop", 0.2, "--out", out),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert json.loads((out / "sums.audit.json").read_text()) == report
    assert (report["rows"], report["dropped"], report["unscored"]) == (9, 2, [])
    assert 0 < report["direction"]["separation"] < 1
    assert all(one["shift"] is not None and one["influence"] > 0 for one in report["ranked"])
    first = report["ranked"][0]
    assert (first["line"], first["near"]) == (9, f"harmful:{HARMFUL.id}")
    assert first["judged"] == "compliance"
    assert HARMFUL.prompt not in done.stdout + done.stderr
    kept = [json.loads(line) for line in (out / "sums.kept.jsonl").read_text().splitlines()]
    dropped = {one["line"] for one in report["ranked"] if one["dropped"]}
    assert kept == [row for line, row in enumerate(ROWS, start=1) if line not in dropped]
    assert not list((tmp_path / "h" / "work").iterdir())


def test_a_checkpoint_that_is_none_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    model, out = build_tiny_llama(tmp_path / "tiny"), tmp_path / "out"
    (model / "tokenizer.json").unlink()
    file = write(tmp_path / "sums.jsonl", ROWS)
    done = audit(tmp_path / "h", file, "--model", model, "--scores", "shift", "--out", out)
    assert done.returncode == 2
    assert "tokenizer" in json.loads(done.stdout)["error"]["message"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        ("", [], "holds no rows"),
        ("[]", [], "holds no rows"),
        ('{"prompt": "a", "completion": "b"}\n', ["--drop", "1"], "expected a share"),
        ('{"prompt": "a"}\n', [], "line 1"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    content: str, words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "rows.jsonl", tmp_path / "out"
    file.write_text(content)
    line = ["data", "audit", str(file), "--model", str(tmp_path), "--out", str(out), *words]
    assert main(line) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert said in sentence
    assert not out.exists()
