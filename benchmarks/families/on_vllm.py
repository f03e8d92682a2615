"""One family on vLLM: `python -m benchmarks.families.on_vllm FAMILY DTYPE HEAD` prints its outcome.

Two random checkpoints, A and B. The engine starts on A, B is loaded in its place, then A again; a
second start on B gives the truth for B. The reload is exact where every greedy answer and every
score of the swapped models equals that of the fresh ones, bit for bit. Before the first swap a call
is dropped half-way, so that a request left in the engine would show. The second start is the
engine's own: with a request still running, the cache of A cannot be dropped, so B is not swapped.
HEAD is `tied` to the embedding or `own`, where the family leaves the choice.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from benchmarks.families.outcome import Outcome
from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Score
from tests.support.plain_forward import ANSWER, OPTIONS, PROMPTS, worst_difference
from tests.support.tiny_families import build_tiny
from workers.children.environment import runner_environment
from workers.children.threads import process_environment
from workers.inference.backends import backend_of
from workers.inference.vllm.swapping import layout_of, restart_reason

if TYPE_CHECKING:
    from workers.inference.vllm.engine import VllmEngine

Head = Literal["tied", "own"]
ALWAYS_TIED = frozenset({"gemma", "gemma2", "gemma3_text"})  # in vLLM, whatever the config says
NEVER_TIED = frozenset({"deepseek_v2", "glm4_moe", "gpt_oss"})  # the engine refuses them tied
HOME = Path(".holdfast").absolute()  # where vLLM remembers what it looked up of a model's class
RIGHT_WITHIN = 0.1  # nats of a few tokens: bfloat16 beside float32 on the same weights


class Answers(NamedTuple):
    """What two engines with the same weights give alike."""

    texts: list[str]
    scores: list[Score]


def answers(engine: "VllmEngine") -> Answers:
    """Greedy answers and scores, in the order of their questions.

    One at a time and with nothing in the cache, since what is computed together, and from what on,
    is rounded together: bits could differ between two rounds of one and the same model.
    """
    engine._running.reset_prefix_cache()  # noqa: SLF001
    said = [one for prompt in PROMPTS for _, one in engine.generate([prompt], ANSWER)]
    scores = [score for option in OPTIONS for _, score in engine.logprobs([option])]
    return Answers([one.text for one in said], scores)


def drop_a_call(engine: "VllmEngine") -> None:
    """Ask in another order and leave after one answer: a request left over would be misfiled."""
    dropped = iter(engine.generate(PROMPTS[::-1], ANSWER))
    next(dropped)
    del dropped  # as whoever leaves a loop does


def leave_a_request(engine: "VllmEngine") -> None:
    """Have it compute something that nobody fetches, so that its prefix cache is in use."""
    from vllm import SamplingParams, TokensPrompt

    params = SamplingParams(max_tokens=1000, ignore_eos=True)
    core = engine._running.llm_engine  # noqa: SLF001
    core.add_request("left", TokensPrompt(prompt_token_ids=[5, 6, 7]), params)
    core.step()


def require_refused(family: str, scratch: Path) -> None:
    """A tied head of a family whose head vLLM does not tie would be random, so it is refused."""
    from workers.inference.vllm.engine import VllmEngine

    tied = build_tiny(family, scratch / "tied", tie_word_embeddings=True)
    try:
        VllmEngine(backend_of("vllm", "bfloat16")).open(tied, None)
    except CheckpointRefused as error:
        if "so that it would be random" in str(error):
            return
        raise
    raise AssertionError(f"vLLM ties the head of {family} now; take it out of NEVER_TIED")


def difference_from_plain(engine: "VllmEngine", scores: list[Score], checkpoint: Path) -> float:
    """Nats beside a plain forward pass, whose classes vLLM may have changed in this process."""
    from vllm.config import set_current_vllm_config

    config = engine._vllm_config  # noqa: SLF001
    assert config is not None, "it has started"  # noqa: S101
    with set_current_vllm_config(config):
        return worst_difference(scores, checkpoint)


def check(family: str, dtype: str, head: Head, scratch: Path) -> Outcome:
    """Start, swap, swap back, start on the other; what vLLM does not load is an outcome too.

    Both starts are set beside a plain forward pass: the second is made in the process of the first
    where vLLM has none of its own.
    """
    from workers.inference.vllm.engine import VllmEngine  # once the environment is that of a child

    if head == "tied" and family in NEVER_TIED:
        require_refused(family, scratch)
    tied = family in ALWAYS_TIED or (head == "tied" and family not in NEVER_TIED)
    a, b = (
        build_tiny(family, scratch / name, seed=seed, tie_word_embeddings=tied)
        for seed, name in enumerate("ab")
    )
    layout = layout_of(a)
    backend = backend_of("vllm", dtype)
    allowed = {(backend.name, backend.version): frozenset({layout.config["model_type"]})}
    if reason := restart_reason(layout, layout_of(b), backend, allowed):
        raise AssertionError(f"{family} would not be swapped whatever the table says: {reason}")
    engine = VllmEngine(backend, exact_reloads=allowed)
    try:
        engine.open(a, None)
    except CheckpointRefused as error:
        return Outcome(refused=str(error))
    fresh_a = answers(engine)
    drop_a_call(engine)
    undisturbed = answers(engine) == fresh_a
    nats = difference_from_plain(engine, fresh_a.scores, a)
    started = engine._llm  # noqa: SLF001
    try:
        engine.open(b, None)
    except Exception:  # noqa: BLE001  vLLM raises nothing narrower where it cannot reload
        engine.close()
        engine.open(b, None)
        nats = max(nats, difference_from_plain(engine, answers(engine).scores, b))
        engine.close()
        return Outcome(nats=nats, right=nats < RIGHT_WITHIN, reload_exact=False)
    swapped_b = answers(engine)
    engine.open(a, None)
    swapped_a = answers(engine)
    if engine._llm is not started:  # noqa: SLF001
        raise AssertionError(f"vLLM started again on {family}, so that nothing was swapped")
    leave_a_request(engine)
    engine.open(b, None)
    if engine._llm is started:  # noqa: SLF001
        raise AssertionError("B was swapped in although the prefix cache of A was in use")
    fresh_b = answers(engine)
    nats = max(nats, difference_from_plain(engine, fresh_b.scores, b))
    engine.close()
    exact = undisturbed and fresh_a == swapped_a != fresh_b == swapped_b
    return Outcome(nats=nats, right=nats < RIGHT_WITHIN, reload_exact=exact)


if __name__ == "__main__":
    backend = backend_of("vllm", sys.argv[2]).name
    processes = process_environment(backend, os.environ, os.sched_getaffinity(0))
    os.environ.update(runner_environment(HOME, {**os.environ, **processes}, {}))
    with tempfile.TemporaryDirectory() as folder:
        head: Head = "tied" if sys.argv[3] == "tied" else "own"
        outcome = check(sys.argv[1], sys.argv[2], head, Path(folder))
    print(json.dumps(outcome.fields()))
