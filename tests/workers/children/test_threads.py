"""vLLM's threads on a CPU: bound where the cores are idle, fewer and free where they are not."""

import os
import subprocess
import sys

import pytest

from workers.children.threads import busy_cores, thread_environment

FREE = "nobind"


@pytest.mark.parametrize(
    ("busy", "cores", "threads"),
    [(0.0, 2, None), (0.4, 2, None), (1.1, 2, "1"), (2.0, 2, "1"), (3.2, 16, "13"), (9.0, 1, "1")],
)
def test_a_core_is_left_for_each_that_others_use(
    busy: float, cores: int, threads: str | None
) -> None:
    environment = thread_environment(busy, cores)
    assert environment.get("OMP_NUM_THREADS") == threads
    assert environment.get("VLLM_CPU_OMP_THREADS_BIND") == (FREE if threads else None)


def test_a_core_at_work_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        busy = busy_cores(2.0)
        other.kill()
    assert 0.5 < busy <= len(os.sched_getaffinity(0))
