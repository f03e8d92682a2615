"""Waivers, rules and the audit trail by the command, on a real stack."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from holdfast.cli import main
from holdfast.db.session import open_database, reading, transaction
from holdfast.policy.text import load_policy
from holdfast.projects.audit import (
    FIELDS,
    head_of,
    list_events,
    public_key_text,
    read_signing_key,
    sign_head,
)
from holdfast.projects.chain import Head
from holdfast.projects.signed_heads import FILE, DatedHead, sign_moved_heads
from holdfast.projects.tables import AuditEventRow
from holdfast.stack.connect import connect
from tests.holdfast.cli.conftest import POLICY, Shell
from tests.support.stack import Launched

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


def test_a_shipped_policy_is_pinned_although_a_file_has_its_name(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weak = POLICY.replace("max_regression: 0.10", "max_regression: 0.90")
    for name in ("standard", "none"):
        (tmp_path / name).write_text(weak)
    code, rules = run("project", "set", "--policy", "standard")
    assert code == 0
    with connect() as client:
        assert client.policy(rules["policy"]).digest == load_policy("standard").digest
    assert run("project", "set", "--policy", "none")[1]["policy"] is None
    assert run("project", "set", "--policy", "strict")[0] == 2


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
        (
            lambda lines: [lines[0].replace("{", '{"principal": "nobody", ', 1), *lines[1:]],
            "a key stands twice",
        ),
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


def test_an_export_that_somebody_else_signed_is_whole_only_in_itself(
    run: Shell, export: Path, stack: Launched, capsys: pytest.CaptureFixture[str]
) -> None:
    *events, ending = map(json.loads, export.read_text().splitlines())
    theirs = Ed25519PrivateKey.generate()
    head = Head(*(ending["head"][name] for name in ("project", "seq", "digest")))
    signed = sign_head(head, theirs)
    forged = {**asdict(head), "signature": signed.signature, "public_key": signed.public_key}
    export.write_text("".join(json.dumps(line) + "\n" for line in (*events, {"head": forged})))
    words = ["audit", "verify", str(export)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("whole in itself: ")
    assert f"signed by the key {signed.public_key}, which was not compared with any" in said
    assert run(*words)[1]["keys_compared"] is False
    ours = public_key_text(read_signing_key(stack.home))
    keys = export.with_name("keys.txt")
    keys.write_text(f"{ours}\n")
    for trusted in (ours, str(keys)):
        code, told = run(*words, "--trusted-key", trusted)
        assert (code, signed.public_key in str(told["error"])) == (4, True)
    code, told = run("audit", "verify", "--trusted-key", str(keys))
    assert (code, told["keys_compared"], told["signed_by"]) == (0, True, [ours])
    assert main([*words, "--trusted-key", signed.public_key]) == 0
    assert capsys.readouterr().out.startswith("whole: ")


@pytest.mark.parametrize("content", [None, "", "no key\n", "AAAA\n"])
def test_a_trusted_key_that_is_none_is_a_usage_error(
    content: str | None, run: Shell, export: Path
) -> None:
    keys = export.with_name("keys.txt")
    if content is not None:
        keys.write_text(content)
    assert run("audit", "verify", str(export), "--trusted-key", str(keys))[0] == 2


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


@pytest.fixture
def cut(stack: Launched, run: Shell, failed: str) -> Iterator[int]:
    """The number of the trail's last event, whose head was signed and which is gone meanwhile."""
    database = open_database(f"sqlite:///{stack.home / 'holdfast.db'}")
    (stack.home / FILE).unlink(missing_ok=True)  # or the head of less than an hour ago would do
    sign_moved_heads(database, stack.home, read_signing_key(stack.home), datetime.now(UTC))
    with reading(database) as session:
        head = head_of(session, "default")
        *_, before, last = list_events(session, "default", limit=10_000)
    refusal = "SELECT sql FROM sqlite_master WHERE name = 'audit_events_no_delete'"
    move = text("UPDATE audit_heads SET seq = :seq, digest = :digest WHERE project = 'default'")
    with database.begin() as connection:
        trigger = connection.scalar(text(refusal))
        connection.execute(text("DROP TRIGGER audit_events_no_delete"))
        connection.execute(text(f"DELETE FROM audit_events WHERE seq = {last.seq}"))
        connection.execute(move, {"seq": before.seq, "digest": before.digest})
    yield head.seq
    with transaction(database) as session:
        session.add(AuditEventRow(**{name: getattr(last, name) for name in FIELDS}))
        session.execute(move, {"seq": last.seq, "digest": last.digest})
        session.execute(text(str(trigger)))
    database.dispose()


def test_a_tail_that_is_cut_on_the_server_is_found_without_an_export(run: Shell, cut: int) -> None:
    code, told = run("audit", "verify")
    assert code == 4
    assert f"ends at event {cut - 1}, but had {cut} before: cut" in str(told["error"])


def test_heads_from_the_servers_file_are_held_against_an_export(
    run: Shell, export: Path, stack: Launched, cut: int
) -> None:
    heads = export.with_name(FILE)
    heads.write_bytes((stack.home / FILE).read_bytes())
    code, whole = run("audit", "verify", str(export), "--head", str(heads))
    assert (code, whole["earlier_heads"]) == (0, len(heads.read_text().splitlines()))
    short = export.with_name("short.jsonl")
    document = run("audit", "export")[1]
    lines = [*document["events"], {"head": document["head"]}]
    short.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run("audit", "verify", str(short))[0] == 0, "it is whole in itself"
    code, told = run("audit", "verify", str(short), "--head", str(heads))
    assert (code, f"but had {cut} before: cut" in str(told["error"])) == (4, True)


def test_heads_of_several_servers_are_held_against_when_all_their_keys_are_named(
    run: Shell, export: Path, stack: Launched
) -> None:
    replica = Ed25519PrivateKey.generate()
    database = open_database(f"sqlite:///{stack.home / 'holdfast.db'}")
    with reading(database) as session:
        signed = sign_head(head_of(session, "default"), replica)
    database.dispose()
    file = export.with_name("replica.jsonl")
    file.write_bytes(DatedHead(signed, datetime.now(UTC)).to_line())
    asked = ("audit", "verify", "--head", str(file))
    code, told = run(*asked)
    assert (code, signed.public_key in str(told["error"])) == (4, True)
    keys = [public_key_text(read_signing_key(stack.home)), signed.public_key]
    trusted = [word for key in keys for word in ("--trusted-key", key)]
    code, told = run(*asked, *trusted)
    assert (code, told["signed_by"]) == (0, keys)
    assert run(*asked, *trusted[:2])[0] == 4
    code, told = run("audit", "verify", *trusted[2:])
    assert (code, keys[0] in str(told["error"])) == (4, True), "the server's own key is not among"
