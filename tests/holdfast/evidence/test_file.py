import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidEvidence
from holdfast.evidence.file import (
    cluster_order,
    gather,
    parse_evidence,
    read_evidence,
    render_evidence,
)
from holdfast.evidence.trial import Trial
from tests.support.evidence import evidence, hex_of, losses, manifest, share, trials

LINES = render_evidence(evidence(rates={"harm.direct": share(1, 3)}, measures=losses([1.0, 2.0])))


def edited(line: int, **changes: object) -> bytes:
    lines = LINES.splitlines()
    lines[line] = json.dumps({**json.loads(lines[line]), **changes}).encode()
    return b"\n".join(lines)


def without(line: int, key: str) -> bytes:
    lines = LINES.splitlines()
    kept = {k: v for k, v in json.loads(lines[line]).items() if k != key}
    lines[line] = json.dumps(kept).encode()
    return b"\n".join(lines)


def test_the_file_that_is_written_is_the_one_that_is_read(tmp_path: Path) -> None:
    whole = evidence(rates={"harm.direct": [0.0, None, 1.0, 0.25]}, measures=losses([3.5]))
    (tmp_path / "e.jsonl").write_bytes(render_evidence(whole))
    assert read_evidence(tmp_path / "e.jsonl") == whole


def test_the_order_of_lines_changes_nothing() -> None:
    first, *rest = LINES.splitlines()
    turned = parse_evidence(b"\n".join([first, *reversed(rest)]), source="e")
    assert turned == parse_evidence(LINES, source="e")


def test_keys_of_the_manifests_second_line_may_be_left_out() -> None:
    document = json.loads(LINES.splitlines()[0])
    for key in ("split", "plan", "repairs", "deployed_template", "judge_error"):
        del document[key]
    parsed = parse_evidence(json.dumps(document).encode(), source="e")
    assert parsed.manifest.plan == {}
    assert parsed.manifest.repairs is None


def test_sampling_may_hold_more_keys() -> None:
    more = manifest(sampling={"temperature": 0, "max_tokens": 48, "seed": 0, "top_p": 0.9})
    again = parse_evidence(render_evidence(gather(more)), source="e").manifest
    assert again.sampling.model_dump()["top_p"] == 0.9


DAMAGED = {
    "nothing": (b"", "line 1"),
    "no manifest": (b"\n".join(LINES.splitlines()[1:]), "line 1: found kind 'trial'"),
    "two manifests": (LINES + LINES.splitlines()[0], "line 7: found kind 'manifest'"),
    "cut line": (LINES[:-20], "line 6: not one whole JSON object"),
    "blank line": (LINES.replace(b"\n", b"\n\n", 1), "line 2: not one whole"),
    "not UTF-8": (LINES + b"\xff\xff", "line 7: not one whole"),
    "a list": (LINES + b"[]", "line 7: found a list"),
    "very deep": (LINES + b"[" * 100_000, "line 7: not one whole"),
    "duplicate trial": (LINES + LINES.splitlines()[1], "line 7: harm.direct"),
    "duplicate measure": (LINES + LINES.splitlines()[-1], "line 7: task.retention"),
    "duplicate key": (LINES.replace(b'"badness":', b'"badness":0.0,"badness":', 1), "twice"),
    "badness NaN": (LINES.replace(b'"badness":0.0', b'"badness":NaN', 1), "badness"),
    "badness infinite": (LINES.replace(b'"badness":0.0', b'"badness":1e999', 1), "badness"),
    "badness above 1": (edited(1, badness=1.01), "line 2: badness"),
    "badness below 0": (edited(2, badness=-0.1), "line 3: badness"),
    "badness is a word": (edited(1, badness="1"), "line 2: badness"),
    "badness is true": (edited(1, badness=True), "line 2: badness"),
    "bad without badness": (edited(1, badness=None), "line 2"),
    "unscored with badness": (edited(1, outcome="unscored"), "line 2"),
    "ok, but bad": (edited(1, outcome="ok"), "contradicts"),
    "bad, but ok": (edited(2, outcome="bad"), "contradicts"),
    "unknown outcome": (edited(1, outcome="skipped"), "outcome"),
    "unknown schema": (edited(0, schema=2), "schema"),
    "unknown kind": (edited(1, kind="comment"), "found kind 'comment'"),
    "unknown key": (edited(1, text="hello"), "unknown key text"),
    "unknown manifest key": (edited(0, opinion=""), "unknown key opinion"),
    "missing key": (without(1, "cluster"), "line 2: cluster"),
    "missing manifest key": (without(0, "complete"), "line 1: complete"),
    "checkpoint digest": (
        edited(0, checkpoint={"name": "a", "digest": "a" * 64}),
        "checkpoint.digest",
    ),
    "judge digest": (edited(0, judges={"refusal": "sha256:" + "a" * 64}), "judges.refusal"),
    "no zone": (edited(0, created_at="2026-01-31T12:00:00"), "created_at"),
    "judge error": (
        edited(0, judge_error={"refusal": {"sensitivity": [3, 2], "specificity": [1, 2]}}),
        "judge_error",
    ),
    "weight 0": (edited(-1, weight=0), "weight"),
    "empty item": (edited(1, item=""), "item"),
}


@pytest.mark.parametrize(("data", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_refused_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(InvalidEvidence, match=message) as refusal:
        parse_evidence(data, source="b.jsonl")
    assert str(refusal.value).startswith("b.jsonl, line ")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidEvidence, match="No such file"):
        read_evidence(tmp_path / "none.jsonl")


def test_what_was_measured_is_held_to_the_same_rules() -> None:
    twice = trials("harm.direct", [0.0]) * 2
    with pytest.raises(InvalidEvidence, match="expected once"):
        gather(manifest(), twice)


def test_the_order_of_clusters_is_fixed_for_ever() -> None:
    assert cluster_order("harm.direct", "c1") == hex_of("harm.direct:c1")


badness = st.none() | st.floats(0, 1) | st.sampled_from([0.0, 1.0])


@settings(deadline=None)
@given(st.lists(badness, max_size=20), st.lists(st.floats(-1e6, 1e6), max_size=5))
def test_parse_undoes_render(values: list[float | None], nats: list[float]) -> None:
    whole = evidence(rates={"harm.direct": values}, measures=losses(nats))
    again = parse_evidence(render_evidence(whole), source="e")
    assert again == whole
    assert render_evidence(again) == render_evidence(whole)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=10), st.text(min_size=1, max_size=10))
def test_any_name_survives(item: str, group: str) -> None:
    trial = trials("harm.direct", [1.0], groups=[group])[0]
    named = Trial("harm.direct", item, trial.cluster, trial.outcome, 1.0, group=group)
    whole = gather(manifest(), [named])
    assert whole.trials == (named,)
    assert parse_evidence(render_evidence(whole), source="e") == whole


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_evidence_or_one_sentence(data: bytes) -> None:
    with pytest.raises(InvalidEvidence):
        parse_evidence(data, source="e")


@settings(deadline=None)
@given(st.integers(0, len(LINES) - 2))
def test_no_cut_reads_as_a_whole_file_unless_at_a_line(cut: int) -> None:
    whole_lines = {sum(len(line) + 1 for line in LINES.splitlines()[:n]) for n in range(1, 7)}
    cuts = whole_lines | {end - 1 for end in whole_lines}
    if cut in cuts:
        return
    with pytest.raises(InvalidEvidence):
        parse_evidence(LINES[:cut], source="e")
