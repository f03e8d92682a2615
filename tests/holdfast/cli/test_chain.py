import json
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.evidence import render_evidence
from tests.support.evidence import evidence, share


def write(folder: Path, name: str, harm: int, errors: int = 50) -> str:
    rates = {"harm.direct": share(harm, 100), "cap.knowledge": share(errors, 100)}
    path = folder / f"{name}.jsonl"
    path.write_bytes(render_evidence(evidence(name, rates)))
    return str(path)


def test_a_chain_as_json_and_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [write(tmp_path, name, harm) for name, harm in (("A", 10), ("AB", 40), ("ABC", 45))]
    assert main(["chain", *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    shifts = [step["probes"][0]["forgetting"] for step in found["steps"]]
    assert shifts == pytest.approx([0.30, 0.05, 0.35])
    assert main(["chain", *files[1:], "--anchor", files[0]]) == 0
    text = capsys.readouterr().out
    assert "(since the first)" in text
    assert "+0.35" in text


def test_the_order_effect_needs_two_chains_of_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, ab = write(tmp_path, "A", 10, 60), write(tmp_path, "AB", 40, 30)
    b, ba = write(tmp_path, "B", 70, 30), write(tmp_path, "BA", 12, 35)
    assert main(["chain", a, ab, "--other-order", b, ba]) == 0
    assert "order effect +0.25" in capsys.readouterr().out
    assert main(["chain", a, ab, ba, "--other-order", b, ba]) == 2
    assert main(["chain", a]) == 2
    assert main(["chain", a, str(tmp_path / "none.jsonl")]) == 2
