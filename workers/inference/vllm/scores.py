"""Scoring texts with vLLM: the parameters of its requests, and the score in its outputs."""

from collections.abc import Iterable

from vllm import RequestOutput, SamplingParams
from vllm.sampling_params import RequestOutputKind

from holdfast.probes.engine import Score


def choosing(tokens: Iterable[int]) -> SamplingParams:
    """Log-probabilities of these tokens as the next one; the likeliest is drawn beside them."""
    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        logprob_token_ids=sorted(set(tokens)),
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def scoring(*, reuse_prefix: bool) -> SamplingParams:
    """Log-probabilities of the prompt's own tokens.

    vLLM leaves the prefix cache alone for such requests, because it returns nothing for tokens
    that it finds there; we need nothing for the tokens of the shared prompt.
    """
    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        prompt_logprobs=0,
        detokenize=False,
        skip_reading_prefix_cache=not reuse_prefix,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def score_of(output: RequestOutput, ids: list[int], start: int) -> Score | None:
    """The sum over `ids[start:]`, or None where the cache reached past the prompt.

    Read from the end, since the list may begin behind what was cached, and token by token, since
    rows that were never written hold anything.
    """
    continuation = ids[start:]
    rows = (output.prompt_logprobs or [])[-len(continuation) :]
    if (output.num_cached_tokens or 0) >= start or len(rows) < len(continuation):
        return None
    total, greedy = 0.0, True
    for token, row in zip(continuation, rows, strict=True):
        if row is None or token not in row:
            return None
        total += row[token].logprob
        greedy = greedy and row[token].rank == 1
    return Score(total, len(continuation), greedy)
