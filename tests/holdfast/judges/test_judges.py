"""The table of judges, and that an identity is of code, not of a name."""

import re
from pathlib import Path

import pytest

from holdfast import judges
from holdfast.judges import JUDGES, Judge
from holdfast.probe import CATALOGUE


def test_every_judge_of_a_built_probe_is_there() -> None:
    assert {judge for spec in CATALOGUE.values() for judge in spec.judges} == set(JUDGES)


def test_identities_are_stable_and_differ() -> None:
    identities = {name: judge.sha256 for name, judge in JUDGES.items()}
    assert len(set(identities.values())) == len(JUDGES)
    assert all(re.fullmatch("[0-9a-f]{64}", identity) for identity in identities.values())
    assert identities == {name: judge.sha256 for name, judge in JUDGES.items()}


@pytest.mark.parametrize("changed", ["refusing.py", "refusal.weights.json"])
def test_a_changed_pattern_or_weight_is_another_judge(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str
) -> None:
    before = JUDGES["refusal"].sha256
    for source in JUDGES["refusal"].sources:
        (tmp_path / source).write_bytes((judges.HERE / source).read_bytes())
    monkeypatch.setattr(judges, "HERE", tmp_path)
    assert JUDGES["refusal"].sha256 == before
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "\n")
    assert JUDGES["refusal"].sha256 != before
    assert Judge("x", "", ("refusing.py",)).sha256 != Judge("x", "", ("refusal.py",)).sha256
