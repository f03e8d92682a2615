"""A model that vLLM splits over two devices; on a CPU these are two processes with half of it."""

from pathlib import Path

import pytest

from holdfast.errors import InvalidSettings
from holdfast.probes.engine import Continuation, Message, Sampling
from holdfast.settings import Settings, read_settings
from tests.support.servers import scratch_folder
from tests.support.tiny_llama import build_tiny_llama
from workers.children.guard import session_members
from workers.children.supervisor import RunnerEngine
from workers.inference.backends import Devices, backend_of, devices_of
from workers.inference.transformers.engine import TransformersEngine
from workers.inference.vllm.swapping import layout_of, restart_reason

CHATS = tuple((Message("user", f"{'word ' * n}?"),) for n in (1, 9, 3))
OPTIONS = [Continuation("Which is it?", text) for text in (" yes", " yes sir", " no")]


def settings(home: Path, **given: object) -> Settings:
    named = {"home": home, "engine": "vllm", **given}
    return read_settings({f"HOLDFAST_{name.upper()}": str(value) for name, value in named.items()})


@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_halves_of_a_model_answer_as_the_whole_and_leave_no_process(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "m")
    with scratch_folder() as home:
        wanted = settings(
            home, dtype="float32", tensor_parallel=2, max_model_len=256, checkpoint_roots=tmp_path
        )
        engine = RunnerEngine(wanted)
        whole = TransformersEngine(backend_of("transformers", "float32", 256))
        engine.open(folder, None)
        whole.open(folder, None)
        halves, expected = dict(engine.logprobs(OPTIONS)), dict(whole.logprobs(OPTIONS))
        for place, score in expected.items():
            assert halves[place].logprob == pytest.approx(score.logprob, abs=1e-3)
        assert dict(engine.generate(CHATS, Sampling(8))).keys() == {0, 1, 2}
        assert engine.backend.to_json()["tensor_parallel"] == 2
        (record,) = (home / "run").glob("*.sid")
        session = int(record.stem)
        engine.close()
        assert session_members(session) == []


def test_split_answers_are_filed_apart_and_never_swapped(tmp_path: Path) -> None:
    layout = layout_of(build_tiny_llama(tmp_path / "m"))
    one, two = (backend_of("vllm", "float32", 256, ranks) for ranks in (1, 2))
    assert one != two
    assert "tensor_parallel" not in one.to_json(), "older answers keep their keys"
    assert restart_reason(layout, layout, one) is None
    assert "over 2 devices" in (restart_reason(layout, layout, two) or "")


def test_what_cannot_be_split_is_refused_by_name(tmp_path: Path) -> None:
    assert devices_of(settings(tmp_path, tensor_parallel=2)) == Devices(tensor_parallel=2)
    with pytest.raises(InvalidSettings, match="cuts no model into parts"):
        devices_of(settings(tmp_path, pipeline_parallel=2))
    with pytest.raises(InvalidSettings, match="are vLLM's, and engine is transformers"):
        settings(tmp_path, engine="transformers", tensor_parallel=2)
    with pytest.raises(InvalidSettings, match="HOLDFAST_WALL=off"):
        settings(tmp_path, parallel_executor="ray")
    assert settings(tmp_path, parallel_executor="ray", wall="off").parallel_executor == "ray"
