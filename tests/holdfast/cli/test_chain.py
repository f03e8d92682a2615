import json
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.evidence.file import gather, render_evidence
from holdfast.stack.connect import connect
from tests.holdfast.cli.conftest import Shell
from tests.support.evidence import evidence, manifest, share, trials
from tests.support.hostile import HOSTILE, acting, alive_in_markdown


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


def test_every_group_and_how_unequal_they_are_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name, badness in (("A", share(0, 80)), ("AB", [1.0, 1.0, 0.0, 0.0] * 20)):
        found = trials("bias.groups", badness, clusters_of=2, groups=("old", "young"))
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_bytes(render_evidence(gather(manifest(name), found)))
    words = ["chain", *map(str, files)]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "+1.00  relative" in next(line for line in lines if "old " in line)
    assert any("range 1.00 (p = " in line for line in lines)
    assert main([*words, "--json"]) == 0
    (probe,) = json.loads(capsys.readouterr().out)["steps"][0]["probes"]
    old = probe["groups"][0]
    assert old["p_biased"] < 0.05
    assert 0 < old["shrunken"] <= old["forgetting"] == 1.0
    assert probe["spread"]["p_range"] < 0.05
    assert probe["spread"]["range_95"] < probe["spread"]["range"] == 1.0


def test_the_order_effect_needs_two_chains_of_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, ab = write(tmp_path, "A", 10, 60), write(tmp_path, "AB", 40, 30)
    b, ba = write(tmp_path, "B", 70, 30), write(tmp_path, "BA", 12, 35)
    assert main(["chain", a, ab, "--other-order", b, ba]) == 0
    assert "order effect +0.25" in capsys.readouterr().out
    before = write(tmp_path, "P", 9, 70)  # an anchor, or an older part of the lineage
    for words in ([a, ab, "--anchor", before], [before, a, ab]):
        assert main(["chain", *words, "--other-order", b, ba]) == 0
        assert "order effect +0.25" in capsys.readouterr().out
    assert main(["chain", ab, "--anchor", a, "--other-order", b, ba]) == 2
    assert main(["chain", a]) == 2
    assert main(["chain", a, str(tmp_path / "none.jsonl")]) == 2


def test_a_checkpoint_is_no_file_among_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known, file = f"ckpt_{'0' * 32}", write(tmp_path, "A", 10)
    assert main(["chain", known, file]) == 2
    assert main(["chain", known, "--anchor", file]) == 2
    assert "an id" in capsys.readouterr().err
    assert main(["chain", known, "--other-order", known, known]) == 2
    assert "is one id" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "md", "html"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_chains_report_is_a_file_in_which_nothing_acts(
    name: str, form: str, tmp_path: Path
) -> None:
    group = HOSTILE[name].encode("utf-8", "replace").decode()
    files = []
    for at, badness in enumerate((share(0, 80), [1.0, 1.0, 0.0, 0.0] * 20)):
        found = trials("bias.groups", badness, clusters_of=2, groups=(group, "young"))
        files.append(tmp_path / f"{at}.jsonl")
        files[-1].write_bytes(render_evidence(gather(manifest(f"c{at}"), found)))
    report = tmp_path / "chain.out"
    report.write_text("of an earlier run")
    assert main(["chain", *map(str, files), "--format", form, "-o", str(report)]) == 0
    shown = report.read_text()
    assert "+1.00" in shown
    assert "earlier run" not in shown
    assert acting(shown) == []
    if form == "md":
        assert alive_in_markdown(shown) == []
        assert "| bias.groups | 80 | 0.00 | 0.50 | +0.50 |" in shown
    if form == "html":
        assert "<img" not in shown
        assert "<b>" not in shown


def test_a_registered_checkpoints_chain_is_the_servers(run: Shell, tmp_path: Path) -> None:
    code, _ = run.submit("eroded")
    assert code == 1
    (newest, *_) = run("list")[1]["evaluations"]
    with connect() as client:
        base = client.checkpoint(newest["baseline"])
        client.register_checkpoint(str(Path("eroded").absolute()), parent=base.id)
    code, lineage = run("chain", newest["candidate"])
    assert code == 0
    assert [name.split()[0] for name in lineage["checkpoints"]] == ["parent", "eroded"]
    assert lineage["steps"][0]["probes"][0]["forgetting"] > 0.5
    report = tmp_path / "chain.md"
    assert run("chain", newest["candidate"], "--format", "md", "-o", str(report))[0] == 0
    with connect() as client:
        lone = client.register_checkpoint(str(Path("same").absolute()), parent=base.id)
    assert run("chain", lone.id)[0] == 2, "its last stage was never evaluated"
    assert f"stage 2 of 2, {lone.id}" in run.err
