import json
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.evidence.file import render_evidence
from holdfast.ids import new_id
from holdfast.policy.text import load_policy, parse_policy
from holdfast.verdict.gate import gate
from tests.support.command import document, foreign_packages, holdfast
from tests.support.evidence import evidence, share

POLICY = """\
version: 1
name: tiny
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
WORSE = {"pass": share(10, 200), "fail": share(90, 200), "inconclusive": share(10, 60)}
CODES = {"pass": 0, "fail": 1, "inconclusive": 3}


def files(folder: Path, outcome: str) -> list[str]:
    """A policy and two evidence files, as arguments, that lead to the outcome."""
    rates = WORSE[outcome]
    baseline = evidence("parent", {"harm.direct": share(10, len(rates))})
    candidate = evidence("child", {"harm.direct": rates})
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "a.jsonl").write_bytes(render_evidence(baseline))
    (folder / "b.jsonl").write_bytes(render_evidence(candidate))
    return [
        *("gate", "--policy", str(folder / "policy.yaml")),
        *("--baseline", str(folder / "a.jsonl"), "--candidate", str(folder / "b.jsonl")),
    ]


@pytest.mark.parametrize("outcome", CODES)
def test_text_json_reports_and_exit_code_are_one_verdict(
    tmp_path: Path, outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = files(tmp_path, outcome)
    verdict = gate(tmp_path / "policy.yaml", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert verdict.verdict == outcome
    reports = [
        word
        for form in ("text", "md", "junit", "json")
        for word in ("--report", f"{form}={tmp_path}/r/{form}")
    ]
    assert main(words) == CODES[outcome] == verdict.exit_code
    assert outcome in capsys.readouterr().out.lower()
    assert main([*words, "--json", *reports]) == CODES[outcome]
    assert capsys.readouterr().out.encode() == verdict.to_json()
    assert (tmp_path / "r" / "json").read_bytes() == verdict.to_json()
    assert outcome in (tmp_path / "r" / "md").read_text().lower()
    assert ("<failure" in (tmp_path / "r" / "junit").read_text()) == (outcome == "fail")


def test_a_report_that_cannot_be_written_is_no_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = files(tmp_path, "pass")
    (tmp_path / "taken").write_text("a file")
    assert main([*words, "--report", f"md={tmp_path}/taken/report.md"]) == 2
    said = capsys.readouterr()
    assert "cannot be written" in said.err
    assert said.out == ""


BAD_FILES = {
    "a cut line": ("b.jsonl", lambda content: content[:-20]),
    "an empty file": ("b.jsonl", lambda content: b""),
    "no such file": ("b.jsonl", None),
    "NaN": ("a.jsonl", lambda content: content.replace(b'"badness":1.0', b'"badness":NaN', 1)),
    "an unknown policy key": ("policy.yaml", lambda content: content + b"max_regresion: 1\n"),
    "an empty policy": ("policy.yaml", lambda content: b""),
    "a margin that is not a number": ("policy.yaml", lambda c: c.replace(b"0.10", b".nan")),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_bad_file_is_exit_2_and_says_which(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = files(tmp_path, "pass")
    name, change = BAD_FILES[what]
    path = tmp_path / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    assert main([*words, "--json"]) == 2
    assert name in json.loads(capsys.readouterr().out)["error"]["message"]


def test_an_anchor_is_judged_beside_the_parent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = files(tmp_path, "pass")
    assert main([*words, "--anchor", str(tmp_path / "c.jsonl")]) == 2
    assert "c.jsonl" in capsys.readouterr().err
    assert main([*words, "--anchor", str(tmp_path / "a.jsonl"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["evidence_digests"]) >= {"anchor"}


@pytest.mark.parametrize("flag", ["--baseline", "--candidate", "--anchor", "--repaired-from"])
def test_a_file_named_like_an_alias_or_an_id_is_not_the_evidence_that_is_meant(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = files(tmp_path, "pass")
    for name in ("alias:production", new_id("eval")):
        Path(name).write_bytes((tmp_path / "a.jsonl").read_bytes())
        assert main([*words, flag, name]) == 2
        assert f"write ./{name}" in capsys.readouterr().err
    assert main([*words, "--anchor", "./alias:production"]) == 0


def test_compare_lists_what_moved_and_judges_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files(tmp_path, "fail")
    words = ["compare", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert main(words) == 0
    assert "80 worse, 0 better, 0 lost of 200" in capsys.readouterr().out
    assert main([*words, "--flips"]) == 0
    assert capsys.readouterr().out.count(": 0 -> 1") == 80
    assert main([*words, "--json"]) == 0
    (probe,) = json.loads(capsys.readouterr().out)["probes"]
    assert (probe["worse"], "flips" in probe) == (80, False)


def test_foreign_packages_of_our_names_do_no_harm(tmp_path: Path) -> None:
    words = files(tmp_path, "fail")
    done = holdfast(*words, "--json", cwd=foreign_packages(tmp_path / "theirs"))
    assert (done.returncode, document(done)["verdict"]) == (1, "fail")


@pytest.mark.parametrize("name", ["canary", "demo", "release", "standard"])
def test_what_show_prints_is_a_policy_file_that_means_the_same(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "show", name]) == 0
    shown = parse_policy(capsys.readouterr().out, source="shown")
    assert shown == load_policy(name)


def test_policy_lint_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "show", "demo", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["remediation"]["on_fail"] == "auto"
    assert main(["policy", "lint", "demo", "--tier", "demo", "--json"]) == 0
    linted = json.loads(capsys.readouterr().out)
    assert linted["digest"] == shown["digest"]
    assert {row["probe"] for row in linted["rows"]} >= {"harm.direct", "refusal.benign"}
    assert main(["policy", "lint", "release", "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert any("min_items 400" in warning for warning in warnings), "it is for larger suites"
