"""The table of judges: each keeps its identity exactly as long as it decides the same."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.judges import JUDGES
from holdfast.judges.endpoint import Endpoint
from holdfast.judges.forms import GUARD_FORMS, RUBRIC_FORM, JudgeForm
from holdfast.probes.table import CATALOGUE
from tools.judge_identity import __main__ as judge_identity
from tools.judge_identity.__main__ import SOURCES, recorded, renewed, today

# as the commits before identities were literals computed them from their sources
OF_ENDPOINTS = {
    "llama-guard": "ff2da19a5c6f6d1675ef5812f2764f6d9b29de8071927715b4d5ae8977a64364",
    "wildguard": "5a9e178033076505ba7f1d68e82af813022e773ea190f9290ca9bfac822ab1ac",
    "harmbench": "247640bd366f9648dadb2fdc59eac821d9fdc96fa54eded3b834ff958b29f395",
    "rubric": "d4a5e52b99a49e8e477b20c9c102b8ab03565ce2ee3ccca0f0270109ac3f4f6d",
}


def test_every_judge_of_a_built_probe_is_there() -> None:
    assert {judge for spec in CATALOGUE.values() for judge in spec.judges} == set(JUDGES)
    assert {*JUDGES, "endpoint"} == set(SOURCES)


def test_identities_differ() -> None:
    identities = {judge.sha256 for judge in JUDGES.values()}
    assert len(identities) == len(JUDGES)
    assert all(re.fullmatch("[0-9a-f]{64}", identity) for identity in identities)


@pytest.mark.parametrize("judge", SOURCES)
def test_a_judge_decides_as_it_is_on_record(judge: str) -> None:
    on_record, now = recorded(judge), today(judge)
    assert now.decisions == on_record.decisions, "it decides otherwise: it needs a new identity"
    assert now.identity == on_record.identity, "a new identity, though it decides the same"
    assert now.source == on_record.source, f"run python -m tools.judge_identity {judge}"


@pytest.mark.parametrize("form", [*GUARD_FORMS.values(), RUBRIC_FORM], ids=lambda form: form.name)
def test_a_judge_behind_an_endpoint_keeps_its_identity(form: JudgeForm) -> None:
    for place in ("http://here/v1", "http://there/v1"):
        assert Endpoint(place, "guard-1", form).sha256 == OF_ENDPOINTS[form.name]
    assert Endpoint("http://here/v1", "guard-2", form).sha256 != OF_ENDPOINTS[form.name]


def test_moved_and_renamed_sources_are_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for number, source in enumerate(SOURCES["endpoint"]):
        content = (judge_identity.ROOT / source).read_bytes()
        (tmp_path / "elsewhere" / f"{9 - number}.py").write_bytes(content)
    moved = tuple(f"elsewhere/{9 - number}.py" for number in range(3))
    before = today("endpoint")
    monkeypatch.setattr(judge_identity, "ROOT", tmp_path)
    monkeypatch.setitem(SOURCES, "endpoint", moved)
    assert today("endpoint") == before
    (tmp_path / moved[0]).write_text("changed")
    assert today("endpoint").source != before.source


def test_a_judge_that_decides_otherwise_gets_another_identity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "table.py"
    table.write_text(judge_identity.TABLE.read_text())
    monkeypatch.setattr(judge_identity, "TABLE", table)
    entry = recorded("exact")
    other = renewed("exact", replace(entry, source="0" * 64))
    assert other.identity == "0" * 64 != entry.identity
    assert "0" * 64 in table.read_text()
    assert entry.identity not in table.read_text()
