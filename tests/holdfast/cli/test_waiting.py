"""Whose fault it is that a job came to nothing, told by the exit code."""

import pytest

from holdfast.cli.waiting import ended_without
from holdfast.job import Status


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("CheckpointRefused: 1 tensor is missing", 2),
        ("RepairImpossible: loss nan", 2),
        ("MachineUnfit: the weights take 30 GiB", 4),
        ("EngineFailed: it died", 4),
        ("ZeroDivisionError: a bug", 4),
        ("Path: no error of ours", 4),
        (None, 4),
    ],
)
def test_what_was_sent_is_at_fault_or_the_machine(error: str | None, code: int) -> None:
    ended = ended_without("verdict", "eval_1", Status.FAILED, error)
    assert ended.exit_code == code
    assert str(ended) == f"no verdict: eval_1 ended as failed{f' ({error})' if error else ''}"
