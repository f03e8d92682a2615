"""The drift child: how far a candidate's next-token distributions moved from the baseline's.

    HOLDFAST_DTYPE=float32 python -m workers.inference.drift JOB.json

KL(baseline || candidate), exact over the whole vocabulary, on the tokens of answers that the
baseline itself gave to prompts of the new task (arXiv 2509.04259: that divergence, on those inputs,
tracks forgetting). The models are loaded one after the other, never both: the baseline's
log-probabilities wait in a file an answer. Beside it the distance of the weights, layer by layer:
|| candidate - baseline || / || baseline ||, read tensor by tensor.
A process of its own, because a device's memory dies with it; it writes one JSON line a result to
standard output, as the training child does, and `done` or `error` at the end.
"""

import math
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import safe_open

from holdfast.errors import CheckpointRefused
from holdfast.models.chat_rendering import Turn
from holdfast.probes.engine import Continuation, Message, Sampling, Scalar
from workers.inference.backends import backend_of
from workers.inference.tokens import load_tokenizer
from workers.inference.transformers.engine import TransformersEngine
from workers.lines import run_to_the_end, say

FIRST = 5  # tokens of an answer in which safety training has most of its effect
LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


class Job(BaseModel):
    """The drift child's job; `prompts` are turns by item, `scratch` a folder emptied again."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    baseline: Path
    candidate: Path
    template: str | None
    prompts: dict[str, tuple[Turn, ...]]
    max_tokens: int
    temperature: float
    seed: int
    scratch: Path
    template_arguments: dict[str, Scalar] = {}
    trace_tokens: int = 0


class Drift(BaseModel):
    """One answer: summed KL in nats over its tokens, and over the first FIRST of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    item: str
    kl: float
    tokens: int
    first_kl: float
    first_tokens: int


def token_kl(baseline: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """KL(baseline || candidate) of log-probabilities [tokens, vocabulary], in nats, in float64.

    What the baseline gives no chance adds nothing; what only the candidate gives none makes it
    infinite, which is the truth. NaN stays NaN.
    """
    ours, theirs = baseline.double(), candidate.double()
    terms = torch.where(ours.isneginf(), 0.0, ours.exp() * (ours - theirs))
    return terms.sum(-1).clamp(min=0.0)


def drift_of(ours: torch.Tensor, theirs: torch.Tensor, item: str) -> Drift:
    """Sums over one answer's tokens."""
    kl, first = token_kl(ours, theirs), min(FIRST, len(ours))
    return Drift(
        item=item,
        kl=float(kl.sum()),
        tokens=len(kl),
        first_kl=float(kl[:first].sum()),
        first_tokens=first,
    )


def measure(job: Job, dtype: str) -> Iterator[Drift]:
    """Every prompt's drift; answers without a token, or without finite numbers, are left out."""
    names = [load_tokenizer(folder).get_vocab() for folder in (job.baseline, job.candidate)]
    if names[0] != names[1]:
        raise CheckpointRefused("the tokenizers differ, so no two distributions can be compared")
    engine = TransformersEngine(backend_of("transformers", dtype))
    engine.open(job.baseline, job.template)
    prompts = {
        item: tuple(Message(role, words) for role, words in turns)
        for item, turns in job.prompts.items()
    }
    items = list(prompts)
    arguments = tuple(job.template_arguments.items())
    sampling = Sampling(
        job.max_tokens,
        job.temperature,
        job.seed,
        template_arguments=arguments,
        trace_tokens=job.trace_tokens,
    )
    completions = dict(engine.generate(list(prompts.values()), sampling))
    answers = [
        (item, Continuation(prompts[item], completions[at].text))
        for at, item in enumerate(items)
        if completions[at].text
    ]
    texts = [continuation for _, continuation in answers]
    for at, ours in engine.distributions(texts, arguments):
        torch.save(ours, job.scratch / f"{at}.pt")
    engine.open(job.candidate, job.template)
    for at, theirs in engine.distributions(texts, arguments):
        file = job.scratch / f"{at}.pt"
        drift = drift_of(torch.load(file, weights_only=True), theirs, answers[at][0])
        file.unlink()
        if math.isfinite(drift.kl):
            yield drift


def weight_distance(baseline: Path, candidate: Path) -> dict[str, float]:
    """Relative distance by layer, and of the tensors outside of any by their own names.

    One tensor at a time; raises CheckpointRefused where names or shapes differ.
    """
    ours, theirs = _places(baseline), _places(candidate)
    if ours.keys() != theirs.keys():
        odd = sorted(ours.keys() ^ theirs.keys())
        raise CheckpointRefused(f"tensor {odd[0]} stands in one of the two checkpoints only")
    moved: defaultdict[str, float] = defaultdict(float)
    size: defaultdict[str, float] = defaultdict(float)
    for name in sorted(ours):
        before, after = _tensor(ours[name], name), _tensor(theirs[name], name)
        if before.shape != after.shape:
            shapes = f"{list(before.shape)} / {list(after.shape)}"
            raise CheckpointRefused(f"tensor {name} is {shapes}, expected one shape")
        match = LAYER.search(name)
        place = f"layer {int(match[1]):03d}" if match else name
        moved[place] += float((after - before).square().sum())
        size[place] += float(before.square().sum())
    return {place: math.sqrt(moved[place] / (size[place] or 1.0)) for place in sorted(moved)}


def _places(folder: Path) -> dict[str, Path]:
    """The shard that holds each tensor."""
    files: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as shard:
            files.update(dict.fromkeys(shard.keys(), file))
    return files


def _tensor(file: Path, name: str) -> torch.Tensor:
    with safe_open(file, framework="pt") as shard:
        tensor: torch.Tensor = shard.get_tensor(name)
    return tensor.double()


def main(path: Path) -> int:
    """Measure, say what was found line by line, and how it ended."""
    job = Job.model_validate_json(path.read_bytes())
    return run_to_the_end(lambda: measure_all(job))


def measure_all(job: Job) -> None:
    """Say the distance of every layer, then every prompt's drift."""
    for place, distance in weight_distance(job.baseline, job.candidate).items():
        say("weights", place=place, distance=distance)
    for drift in measure(job, os.environ["HOLDFAST_DTYPE"]):
        say("drift", **drift.model_dump())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
