"""Waivers, rules and the audit trail by the command, on a real stack."""

import json
from pathlib import Path

import pytest

from tests.holdfast.cli.conftest import Shell

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def failed(run: Shell, tmp_path: Path) -> str:
    """An evaluation that failed, by id."""
    code, verdict = run.submit("eroded", "--id-file", str(tmp_path / "id"))
    assert (code, verdict["verdict"]) == (1, "fail")
    return (tmp_path / "id").read_text().strip()


@pytest.fixture
def export(run: Shell, failed: str, tmp_path: Path) -> Path:
    """The trail as a file of JSON lines."""
    code, document = run("audit", "export")
    assert code == 0
    assert failed in {event["target"] for event in document["events"]}
    file = tmp_path / "trail.jsonl"
    lines = [*document["events"], {"head": document["head"]}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_a_waiver_lets_one_checkpoint_ship_until_it_is_revoked(run: Shell, failed: str) -> None:
    given = ("waivers", "give", "eroded", "harm.direct", "--reason", "mended next week")
    code, waiver = run(*given)
    assert (code, failed in waiver["evaluations"]) == (0, True)
    code, verdict = run("verdict", failed)
    assert (code, verdict["verdict"], len(verdict["supersedes"])) == (0, "pass", 64)
    assert [known["id"] for known in run("waivers", "list")[1]["data"]] == [waiver["id"]]
    assert run("waivers", "revoke", waiver["id"])[0] == 0
    assert run("verdict", failed)[0] == 1
    assert run("waivers", "revoke", waiver["id"])[0] == 2


def test_rules_are_changed_one_by_one(run: Shell) -> None:
    assert run("project", "show")[1]["version"] == 0
    run("project", "set", "--waiver-days", "7", "--separate-duties", "yes")
    code, rules = run("project", "set", "--unwaivable", "harm.direct", "--policy", "quick.yaml")
    assert code == 0
    assert (rules["waiver_days"], rules["separate_duties"]) == (7, True)
    assert (rules["unwaivable"], rules["policy"].startswith("pol_")) == (["harm.direct"], True)
    emptied = ("--unwaivable", "--policy", "none", "--separate-duties", "no", "--waiver-days", "30")
    code, rules = run("project", "set", *emptied)
    assert (rules["unwaivable"], rules["policy"], rules["separate_duties"]) == ([], None, False)
    assert run("project", "set", "--waiver-days", "0")[0] == 2


def test_a_pinned_policy_is_submitted_by_that_name(run: Shell) -> None:
    run("project", "set", "--policy", "quick.yaml")
    asked = ("submit", "same", "--baseline", "parent", "--tier", "demo", "--policy")
    code, verdict = run(*asked, "pinned")
    assert (code, verdict["verdict"]) == (0, "pass")
    assert any("set by" in warning for warning in verdict["warnings"])
    assert run(*asked, "demo")[0] == 4  # another policy: the key may not
    run("project", "set", "--policy", "none")


def test_a_whole_trail_is_verified_on_the_server_and_as_a_file(run: Shell, export: Path) -> None:
    for words in ((), (str(export),), (str(export), "--head", str(export))):
        code, told = run("audit", "verify", *words)
        assert (code, told["whole"]) == (0, True)
    assert run("audit", "verify", "--head", str(export))[0] == 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [lines[0].replace("key_", "kex_"), *lines[1:]], "event 1 is not what"),
        (lambda lines: lines[1:], "event 1 is missing"),
        (lambda lines: [*lines[:-2], lines[-1]], "the trail ends at event"),
        (lambda lines: lines[:-1], "does not end with the signed head"),
        (lambda lines: [*lines[:-1], lines[-1][:40]], "is not whole"),
        (lambda lines: [*lines[:-1], lines[-1].replace('"seq": ', '"seq": 9')], "not signed by"),
    ],
)
def test_a_damaged_export_is_found_out(
    run: Shell, export: Path, damage: object, words: str
) -> None:
    lines = damage(export.read_text().splitlines())  # type: ignore[operator]
    export.write_text("\n".join(lines))
    code, told = run("audit", "verify", str(export))
    assert code == 4
    assert words in str(told["error"])


def test_a_head_that_was_kept_shows_a_trail_that_was_cut(run: Shell, export: Path) -> None:
    before = export.read_text()
    run("project", "set", "--waiver-days", "8")
    later = export.with_name("later.jsonl")
    document = run("audit", "export")[1]
    later.write_text(json.dumps({"head": document["head"]}))
    code, told = run("audit", "verify", str(export), "--head", str(later))
    assert code == 4
    assert "cut" in str(told["error"])
    assert export.read_text() == before
