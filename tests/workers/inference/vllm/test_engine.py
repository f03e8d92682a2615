"""A real vLLM on tiny Llamas, behind the guard as in production; one start for all of it."""

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from holdfast.checkpoints.checkpoint import admitted_model, ref_of
from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Backend, Completion, Continuation, Message, Sampling, Score
from holdfast.settings import read_settings
from tests.support.published_layouts import rewrite
from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.support.servers import scratch_folder
from tests.support.thinkers import DOUBT, PIECES, RAMBLE, build_thinker
from tests.support.tiny_families import build_tiny
from tests.support.tiny_llama import build_tiny_llama
from workers.children.guard import session_members
from workers.children.supervisor import RunnerEngine
from workers.children.threads import FEW_CORES
from workers.inference.loading.capacity import cache_bytes
from workers.inference.transformers.engine import TransformersEngine
from workers.views import StagedCheckpoint, Views

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

CHATS = tuple((Message("user", f"{'word ' * n}?"),) for n in (1, 9, 3, 20, 2))
SHARED = "A long context that many options share, so that its blocks are found in the cache. " * 2
OPTIONS = [
    Continuation(SHARED + tail, text) for tail in "ab" for text in (" yes", " yes sir", " no")
]
LETTERS = [  # more of one prompt than one request may tell
    Continuation(SHARED + tail, chr(code)) for tail in "ab" for code in range(32, 127)
] + [Continuation(SHARED + "a", chr(code)) for code in range(32, 127)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def engine(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerEngine]:
    given = {"HOME": home, "ENGINE": "vllm", "CHECKPOINT_ROOTS": tmp_path_factory.getbasetemp()}
    settings = read_settings({f"HOLDFAST_{name}": str(value) for name, value in given.items()})
    engine = RunnerEngine(settings)
    yield engine
    (record,) = (home / "run").glob("*.sid")
    engine.close()
    assert session_members(int(record.stem)) == []


def starts(home: Path) -> int:
    """How often vLLM has started."""
    return (home / "log" / "engine.log").read_text().count("Initializing a V1 LLM engine")


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) > FEW_CORES, reason="on many cores vLLM has a process for each"
)
def test_one_process_imports_what_it_takes(engine: RunnerEngine, home: Path, folder: Path) -> None:
    """vLLM would start one for its scheduler, one for its worker, one to look at a class."""
    engine.open(folder, None)
    (record,) = (home / "run").glob("*.sid")
    computing = [
        pid
        for pid in session_members(int(record.stem))
        if "/site-packages/torch/" in Path(f"/proc/{pid}/maps").read_text()
    ]
    assert len(computing) == 1
    assert not list((home / "cache").rglob("modelinfos"))


def answers(engine: RunnerEngine) -> dict[int, Completion]:
    return dict(engine.generate(CHATS, Sampling(16)))


def sums(scores: dict[int, Score]) -> list[float]:
    return [scores[index].logprob for index in sorted(scores)]


def test_every_prompt_is_answered(engine: RunnerEngine, folder: Path) -> None:
    engine.open(folder, None)
    assert engine.backend.name.startswith("vllm")
    assert dict(engine.generate(["a"], Sampling(1)))[0].tokens == 1  # a first step of one token
    found = answers(engine)
    assert sorted(found) == list(range(len(CHATS)))
    assert all(answer.tokens == 16 or answer.finish == "stop" for answer in found.values())
    drawn = Sampling(16, temperature=1.0, seed=5)
    assert dict(engine.generate(CHATS, drawn))[2] == dict(engine.generate(CHATS[2:3], drawn))[0]
    several = dict(engine.generate(["a", "b", "a"], drawn))
    assert several[0] == several[2]
    assert several[0] != several[1]


def test_the_model_goes_on_where_its_turn_was_begun(engine: RunnerEngine, folder: Path) -> None:
    engine.open(folder, None)
    ((_, free),) = engine.generate(CHATS[:1], Sampling(12))
    begun = (*CHATS[0], Message("assistant", "Sure, here is how", 4))
    answers = dict(engine.generate([begun, CHATS[0]], Sampling(12)))
    assert answers[0].opening == "Sure"
    assert answers[0].tokens > 0
    assert answers[1] == free


def test_scores_agree_with_transformers_and_with_themselves(
    engine: RunnerEngine, folder: Path
) -> None:
    """The second and third round find all of the prompt, and options too, in the cache."""
    plain = TransformersEngine(Backend("transformers", "test", "float32"))
    plain.open(folder, None)
    expected = sums(dict(plain.logprobs(OPTIONS)))
    engine.open(folder, None)
    rounds = [dict(engine.logprobs(OPTIONS)) for _ in range(3)]
    assert [score.tokens for _, score in sorted(rounds[0].items())] == [4, 8, 3] * 2
    for scores in rounds:
        assert sums(scores) == pytest.approx(expected, abs=0.1)


def test_single_tokens_are_scored_as_the_others(engine: RunnerEngine, folder: Path) -> None:
    """Their own way, one request a prompt, beside that of longer texts that begin with them."""
    plain = TransformersEngine(Backend("transformers", "test", "float32"))
    plain.open(folder, None)
    engine.open(folder, None)
    found = dict(engine.logprobs([*OPTIONS, *LETTERS]))
    expected = dict(plain.logprobs([*OPTIONS, *LETTERS]))
    assert found.keys() == expected.keys()
    assert sums(found) == pytest.approx(sums(expected), abs=0.1)
    assert all(found[at].tokens == 1 for at in range(len(OPTIONS), len(found)))
    assert all(isinstance(score.greedy, bool) for score in found.values())


def test_what_it_says_is_greedy_and_ends_before_what_it_may_not_say(
    engine: RunnerEngine, folder: Path
) -> None:
    engine.open(folder, None)
    ((_, said),) = engine.generate(["Name a colour:"], Sampling(8))
    assert said.text.isascii()
    asked = [Continuation("Name a colour:", text) for text in (said.text[:1], said.text[:4], "~~")]
    scores = dict(engine.logprobs(asked))
    assert [scores[at].greedy for at in range(3)] == [True, True, False]
    until = ("nothing of the kind", said.text[:3])
    ((_, ended),) = engine.generate(["Name a colour:"], Sampling(8, until=until))
    assert (ended.text, ended.finish, ended.tokens) == ("", "stop", 3)


def test_a_swap_changes_the_answers_and_the_swap_back_restores_them(
    engine: RunnerEngine, home: Path, folder: Path, tmp_path: Path
) -> None:
    """All of it is swapped: the head too, which is tied to the embedding and in no file."""
    other = build_tiny_llama(tmp_path / "other", seed=1)
    plain = TransformersEngine(Backend("transformers", "test", "float32"))
    plain.open(other, None)
    expected = sums(dict(plain.logprobs(OPTIONS)))
    engine.open(folder, None)
    before, scored = answers(engine), sums(dict(engine.logprobs(OPTIONS)))
    started = starts(home)
    engine.open(other, None)
    assert answers(engine) != before
    assert sums(dict(engine.logprobs(OPTIONS))) == pytest.approx(expected, abs=0.1)
    engine.open(folder, None)
    assert answers(engine) == before
    assert sums(dict(engine.logprobs(OPTIONS))) == pytest.approx(scored, abs=1e-3)
    assert starts(home) == started


def test_what_a_file_lacks_is_not_kept_from_the_model_before(
    engine: RunnerEngine, folder: Path, tmp_path: Path
) -> None:
    """A swap would leave it as it was; the engine goes on with the model that it has."""
    engine.open(folder, None)
    before = answers(engine)
    cut = build_tiny_llama(tmp_path / "cut", seed=3)
    name = "model.layers.1.mlp.down_proj.weight"
    rewrite(cut, lambda weights: {key: weights[key] for key in weights if key != name})
    with pytest.raises(CheckpointRefused, match="1 tensor is missing"):
        engine.open(cut, None)
    engine.open(folder, None)
    assert answers(engine) == before


def test_broken_weights_give_no_text_and_no_number(
    engine: RunnerEngine, folder: Path, tmp_path: Path
) -> None:
    broken = build_tiny_llama(tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], math.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    engine.open(broken, None)
    assert {(said.text, said.finish) for said in answers(engine).values()} == {("", "nan")}
    assert not any(math.isfinite(total) for total in sums(dict(engine.logprobs(OPTIONS))))
    engine.open(folder, None)
    assert {said.finish for said in answers(engine).values()} <= {"stop", "length"}


def test_what_does_not_fit_is_unanswered(engine: RunnerEngine, folder: Path) -> None:
    engine.open(folder, None)
    assert dict(engine.generate(["x" * 3000], Sampling(4))) == {0: Completion("", "length", 0)}
    ((_, score),) = engine.logprobs([Continuation("a", "x" * 3000)])
    assert math.isnan(score.logprob)


def test_a_folder_without_a_model_is_the_callers_error(
    engine: RunnerEngine, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointRefused, match="holds no config"):
        engine.open(tmp_path, None)
    assert engine.alive


def test_a_view_answers_as_what_was_hashed_whatever_becomes_of_the_files(
    engine: RunnerEngine, home: Path, tmp_path: Path
) -> None:
    """Their tokenizer is not that of the model before, so vLLM starts again, in the same tree."""
    started = starts(home)
    said = {"refuses": REFUSAL, "complies": COMPLIANCE}
    for name, pieces in said.items():
        build_reciting_llama(tmp_path / name, pieces, all_pieces=PIECES)
    weights, other = (tmp_path / name / "model.safetensors" for name in said)
    kept = shutil.copyfile(weights, tmp_path / "kept")
    with closing(Views(tmp_path / "home")) as views:
        staged = stage(views, tmp_path / "refuses")
        weights.rename(tmp_path / "moved")
        assert recited(engine, staged) == "".join(REFUSAL)
        (tmp_path / "moved").rename(weights)
        staged = stage(views, tmp_path / "refuses")
        weights.unlink()
        shutil.copyfile(other, weights)  # another file of the same name
        assert recited(engine, staged) == "".join(REFUSAL)
        assert not staged.view.untouched()
        compliant = stage(views, tmp_path / "refuses")
        assert recited(engine, compliant) == "".join(COMPLIANCE)
        assert compliant.view.untouched()
        assert starts(home) == started + 1
        assert len(list((home / "run").glob("*.sid"))) == 1
        shutil.copyfile(tmp_path / "refuses" / "tokenizer.json", weights)
        with pytest.raises(CheckpointRefused, match="written over while it was open"):
            compliant.view.untouched()
        third = build_reciting_llama(tmp_path / "third", REFUSAL[1:], all_pieces=PIECES)
        overwritten = stage(views, third)
        shutil.copyfile(
            kept, third / "model.safetensors"
        )  # into the very file that was hashed, before it is loaded
        recited(engine, overwritten)
        with pytest.raises(CheckpointRefused, match="written over while it was open"):
            overwritten.view.untouched()


def stage(views: Views, folder: Path) -> StagedCheckpoint:
    with ExitStack() as descriptors:
        found = admitted_model(str(folder), [folder.parent], descriptors)
        return views.stage(ref_of(found), found)


def recited(engine: RunnerEngine, checkpoint: StagedCheckpoint) -> str:
    engine.open(checkpoint.path, None)
    ((_, said),) = engine.generate([(Message("user", "Hello"),)], Sampling(16))
    return said.text


def test_thoughts_are_told_apart_and_closed_as_the_other_engine_does(
    engine: RunnerEngine, tmp_path: Path
) -> None:
    """Thinkers with a known truth, each in a layout of its own, whose weights are swapped."""
    thinkers = [
        build_thinker(tmp_path / "refuses", DOUBT, REFUSAL),
        build_thinker(tmp_path / "complies", DOUBT, COMPLIANCE, opened=True),
        build_thinker(tmp_path / "endless", RAMBLE, REFUSAL, closes=False),
    ]
    other = TransformersEngine(Backend("transformers", "test", "bfloat16"))
    told = Sampling(8, template_arguments=(("enable_thinking", True),), trace_tokens=12)
    begun = (Message("user", "hi"), Message("assistant", COMPLIANCE[0]))
    for thinker in thinkers:
        engine.open(thinker, None)
        other.open(thinker, None)
        prompts = [CHATS[0], begun]
        assert dict(engine.generate(prompts, told)) == dict(other.generate(prompts, told))
    assert dict(engine.generate(CHATS[:1], told))[0].forced


def test_a_context_that_takes_more_than_the_usual_cache_gets_more(
    engine: RunnerEngine, tmp_path: Path
) -> None:
    """As that of Phi-3-mini does in float32; vLLM refuses a cache that holds no whole prompt."""
    folder = build_tiny_llama(tmp_path / "wide")
    config = LlamaConfig.from_pretrained(
        folder,
        num_hidden_layers=20,
        num_attention_heads=64,
        num_key_value_heads=64,
        head_dim=128,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    assert cache_bytes(folder, 2048, "bfloat16") > 1 << 30
    engine.open(folder, None)
    assert answers(engine).keys() == set(range(len(CHATS)))


def test_a_family_whose_classes_vllm_changes_is_looked_at_again(
    engine: RunnerEngine, folder: Path, tmp_path: Path
) -> None:
    """vLLM runs GPT-NeoX by transformers' own classes, which it changes in this very process."""
    first, second = (
        build_tiny("gpt_neox", tmp_path / name, seed=seed) for seed, name in enumerate("ab")
    )
    engine.open(first, None)
    before = sums(dict(engine.logprobs(OPTIONS)))
    engine.examine(second)
    engine.open(second, None)
    assert sums(dict(engine.logprobs(OPTIONS))) != pytest.approx(before, abs=1e-3)
    engine.open(folder, None)
    engine.examine(first)
