"""Which line of a dead child's log is told to a person."""

from pathlib import Path

import pytest

from workers.children.last_words import telling_line

VLLM_STARTS = """\
(EngineCore pid=7) ERROR 11-30 01:02:03 [core.py:866] EngineCore failed to start.
(EngineCore pid=7) ERROR 11-30 01:02:03 [core.py:866] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-30 01:02:03 [core.py:866] ValueError: No available memory for the cache
Traceback (most recent call last):
  File "runner.py", line 1, in <module>
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
VLLM_STEPS = """\
(EngineCore pid=7) ERROR [core.py:875] TimeoutError: RPC call to execute_model timed out.
Traceback (most recent call last):
vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above)
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", ""),
        ("loading\n", "loading"),
        ("Traceback:\nKeyError: 'x'\n", "KeyError: 'x'"),
        ("MemoryError: no room\nwarning: something else\n", "MemoryError: no room"),
        ("loading\nguard: a SIGKILL ended it\n", "a SIGKILL ended it"),
        (
            f"{VLLM_STARTS}RuntimeError: cancelled\n",
            "ValueError: No available memory for the cache",
        ),
        (VLLM_STARTS, "ValueError: No available memory for the cache"),
        (VLLM_STEPS, "TimeoutError: RPC call to execute_model timed out."),
    ],
)
def test_the_line_that_says_what_happened(log: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    file.write_text(log)
    assert telling_line(file) == line


def test_what_an_earlier_child_wrote_is_not_this_ones(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    file.write_text("ValueError: of yesterday\n")
    start = file.stat().st_size
    file.write_text(file.read_text() + "starting\n")
    assert telling_line(file, start) == "starting"
