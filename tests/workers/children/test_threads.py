"""vLLM's threads on a CPU: bound where the cores are idle, fewer and free where they are not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.children.environment import runner_environment
from workers.children.threads import (
    OF_PROCESSES,
    PROCESSES,
    busy_cores,
    last_of_each_core,
    process_environment,
    thread_environment,
)

FEW, MANY = {0, 1}, set(range(16))
BOUND = {"OMP_PROC_BIND": "true", "OMP_PLACES": "{0,1}", "OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("busy", "processors", "threads"),
    [(1.1, FEW, "1"), (2.0, FEW, "1"), (9.0, {0}, "1"), (0.6, {0, 1, 2, 3}, "3")],
)
def test_a_core_is_left_for_each_that_others_use(
    busy: float, processors: set[int], threads: str
) -> None:
    for backend in ("vllm-cpu", "transformers-cpu"):
        assert thread_environment(backend, busy, processors) == {"OMP_NUM_THREADS": threads}


def test_threads_are_bound_where_the_cores_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """As vLLM binds those of a worker of its own, which it has on many cores alone."""
    monkeypatch.setattr("workers.children.threads._core_of", lambda number: (str(number),))
    assert thread_environment("vllm-cpu", 0.4, FEW) == BOUND
    assert thread_environment("transformers-cpu", 0.4, FEW) == {}
    assert thread_environment("vllm-cpu", 0.4, MANY) == {}
    assert thread_environment("vllm-cpu", 3.2, MANY) == {
        "OMP_NUM_THREADS": "13",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }


def test_processes_that_share_a_model_share_the_cores_unbound() -> None:
    assert thread_environment("vllm-cpu", 0.1, FEW, 2) == {"OMP_NUM_THREADS": "1"}
    assert thread_environment("vllm-cpu", 0.1, MANY, 4) == {"OMP_NUM_THREADS": "4"}
    assert thread_environment("vllm-cpu", 8.0, MANY, 4) == {"OMP_NUM_THREADS": "2"}
    unbound = {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    assert process_environment("vllm-cpu", {}, FEW, 2) == unbound
    assert process_environment("vllm-cpu", {"VLLM_CPU_OMP_THREADS_BIND": "0|1"}, FEW, 2) == {}
    assert process_environment("vllm", {}, FEW, 2) == {}


@pytest.mark.parametrize(
    ("backend", "processors", "given", "told"),
    [
        ("vllm-cpu", FEW, {}, "0"),
        ("vllm-cpu", FEW, {"OMP_NUM_THREADS": "1"}, "0"),
        ("vllm-cpu", MANY, {}, None),
        ("vllm", FEW, {}, None),
        ("transformers-cpu", FEW, {}, None),
        *(("vllm-cpu", FEW, {name: "1"}, None) for name in OF_PROCESSES),
    ],
)
def test_on_few_cores_vllm_has_no_processes_of_its_own_unless_the_operator_says_so(
    backend: str, processors: set[int], given: dict[str, str], told: str | None
) -> None:
    assert process_environment(backend, given, processors).get(PROCESSES) == told


def test_what_an_operator_says_of_processes_reaches_the_child(tmp_path: Path) -> None:
    said = dict.fromkeys(OF_PROCESSES, "1")
    environment = runner_environment(tmp_path, said, {})
    assert {name: environment.get(name) for name in said} == said


def test_one_processor_of_each_core_computes(tmp_path: Path) -> None:
    cores = {0: ("0", "0"), 1: ("0", "0"), 2: ("0", "1"), 3: ("0", "1"), 4: ("1", "0")}
    for number, (package, core) in cores.items():
        topology = tmp_path / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        (topology / "core_id").write_text(f"{core}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.children.threads.TOPOLOGY", tmp_path)
        assert last_of_each_core({0, 1, 2, 3, 4}) == [1, 3, 4]
        assert last_of_each_core({7, 5}) == [5, 7]  # nobody says


def test_a_core_at_work_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        busy = busy_cores(2.0)
        other.kill()
    assert 0.5 < busy <= len(os.sched_getaffinity(0))
