"""The drift child: how far a candidate's next-token distributions moved from the baseline's.

    HOLDFAST_DTYPE=float32 python -m workers.inference.drift JOB.json

KL(baseline || candidate), exact over the whole vocabulary, on the tokens of answers that the
baseline itself gave to prompts of the new task (arXiv 2509.04259: that divergence, on those inputs,
tracks forgetting). The models are loaded one after the other, never both: the baseline's
log-probabilities wait in a file an answer. Beside it the distance of the weights, layer by layer:
|| candidate - baseline || / || baseline ||, read tensor by tensor.
A process of its own, because a device's memory dies with it; it writes one JSON line a result to
standard output, as the training child does, and `done` or `error` at the end.

For drift.refusal it also projects harmful requests, in both models, on the baseline's refusal
direction. Long answers are measured in parts, so that what waits on the disk stays within
WAITING_BYTES; the models then take turns.
"""

import math
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import safe_open

from holdfast.errors import CheckpointRefused
from holdfast.models.chat_rendering import Turn
from holdfast.probes.engine import Arguments, Continuation, Message, Sampling, Scalar
from workers.inference.backends import backend_of
from workers.inference.refusal_direction import NO_ANSWER, refusal_direction
from workers.inference.tokens import load_tokenizer
from workers.inference.transformers.engine import TransformersEngine
from workers.lines import run_to_the_end, say

FIRST = 5  # tokens of an answer in which safety training has most of its effect
WAITING_BYTES = 8 << 30  # of the baseline's log-probabilities
LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")

Waiting = tuple[str, Continuation, int]  # an item, what its distributions are of, and its tokens


class Job(BaseModel):
    """The drift child's job; `scratch` is a folder emptied again.

    `prompts` are the turns of drift.kl's items, `requests` those of drift.refusal; either may be
    none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    baseline: Path
    candidate: Path
    template: str | None
    prompts: dict[str, tuple[Turn, ...]]
    requests: dict[str, tuple[Turn, ...]] = {}
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


def measure(job: Job, engine: TransformersEngine) -> Iterator[Drift]:
    """Every prompt's drift; answers without a token, or without finite numbers, are left out."""
    engine.open(job.baseline, job.template)
    prompts = {item: _messages(turns) for item, turns in job.prompts.items()}
    items, arguments = list(prompts), _arguments(job)
    sampling = Sampling(
        job.max_tokens,
        job.temperature,
        job.seed,
        template_arguments=arguments,
        trace_tokens=job.trace_tokens,
    )
    completions = dict(engine.generate(list(prompts.values()), sampling))
    answers = [
        (item, Continuation(prompts[item], completions[at].text), completions[at].tokens)
        for at, item in enumerate(items)
        if completions[at].text
    ]
    vocabulary = len(load_tokenizer(job.baseline).get_vocab())
    for part in parts_of(answers, WAITING_BYTES // (4 * vocabulary)):
        texts = [continuation for _, continuation, _ in part]
        engine.open(job.baseline, job.template)
        for at, ours in engine.distributions(texts, arguments):
            torch.save(ours, job.scratch / f"{at}.pt")
        engine.open(job.candidate, job.template)
        for at, theirs in engine.distributions(texts, arguments):
            file = job.scratch / f"{at}.pt"
            drift = drift_of(torch.load(file, weights_only=True), theirs, part[at][0])
            file.unlink()
            if math.isfinite(drift.kl):
                yield drift


def parts_of(answers: Sequence[Waiting], tokens: int) -> Iterator[list[Waiting]]:
    """The answers in turn, in parts of at most so many tokens, or of one answer."""
    part: list[Waiting] = []
    for answer in answers:
        if part and sum(size for _, _, size in (*part, answer)) > tokens:
            yield part
            part = []
        part.append(answer)
    if part:
        yield part


def measure_refusals(job: Job, engine: TransformersEngine) -> Iterator[tuple[str, float]]:
    """How far each request moved along the baseline's direction, in the baseline's own gaps."""
    arguments = _arguments(job)
    engine.open(job.baseline, job.template)
    direction = refusal_direction(engine, arguments)
    asked = [Continuation(_messages(turns), NO_ANSWER) for turns in job.requests.values()]
    places: list[dict[int, float]] = []
    for checkpoint in (job.baseline, job.candidate):
        engine.open(checkpoint, job.template)
        found = engine.activations(asked, (direction.layer,), arguments)
        places.append({at: float(direction.along(one.prompt[0])) for at, one in found})
    before, after = places
    for at, item in enumerate(job.requests):
        if at in before and at in after and math.isfinite(before[at] - after[at]):
            yield item, before[at] - after[at]


def _messages(turns: Sequence[Turn]) -> tuple[Message, ...]:
    return tuple(Message(role, words) for role, words in turns)


def _arguments(job: Job) -> Arguments:
    return tuple(job.template_arguments.items())


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
    """Say the distance of every layer, then every prompt's drift, then every request's."""
    names = [load_tokenizer(folder).get_vocab() for folder in (job.baseline, job.candidate)]
    if names[0] != names[1]:
        raise CheckpointRefused("the tokenizers differ, so no two distributions can be compared")
    engine = TransformersEngine(backend_of("transformers", os.environ["HOLDFAST_DTYPE"]))
    if job.prompts:
        for place, distance in weight_distance(job.baseline, job.candidate).items():
            say("weights", place=place, distance=distance)
        for drift in measure(job, engine):
            say("drift", **drift.model_dump())
    if job.requests:
        for item, moved in measure_refusals(job, engine):
            say("refusal", item=item, moved=moved)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
