"""Evidence files of commit b196b6b keep their digests and their verdicts, byte for byte.

Policies are replayed on the runs of the past, and a verdict that was signed must be found again: a
new key of policy, evidence or verdict is written only where it is set. tests/data/b196b6b/README.md
says how the files were made.
"""

import gzip
from pathlib import Path

import pytest

from holdfast.evidence.file import parse_evidence, render_evidence
from holdfast.verdict.gate import gate

OLD = Path(__file__).parents[2] / "data" / "b196b6b"
CASES = sorted(folder.name for folder in OLD.iterdir() if folder.is_dir())


@pytest.mark.parametrize("case", CASES)
def test_a_verdict_is_the_one_that_was_given(case: str, tmp_path: Path) -> None:
    files = {}
    for packed in (OLD / case).glob("*.jsonl.gz"):
        files[packed.name.removesuffix(".jsonl.gz")] = tmp_path / packed.stem
        (tmp_path / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    verdict = gate(
        OLD / case / "policy.yaml",
        files["baseline"],
        files["candidate"],
        files.get("repaired_from"),
        anchor_path=files.get("anchor"),
    )
    assert verdict.to_json() == (OLD / case / "verdict.json").read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_written_as_it_was(case: str) -> None:
    for packed in (OLD / case).glob("*.jsonl.gz"):
        content = gzip.decompress(packed.read_bytes())
        assert render_evidence(parse_evidence(content, source=packed.name)) == content


def test_all_cases_are_there() -> None:
    assert len(CASES) == 18
