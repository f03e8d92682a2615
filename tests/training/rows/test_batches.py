"""Counts, order, tokens and masks of what a model is trained on."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from holdfast.errors import CheckpointRefused, InvalidTaskData
from holdfast.repairs.plan import Mix, rows_drawn
from holdfast.repairs.task_data import Row
from tests.support.tiny_llama import CHAT_TEMPLATE, build_tiny_llama
from training.rows.batches import (
    Example,
    collate,
    draw_steps,
    example_of,
    order_of_sources,
    rows_together,
    tokenise,
)
from training.weights.model import load_tokenizer

FILE = Path("rows.jsonl")


@pytest.fixture(scope="module")
def tokenizer(baseline: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(baseline)


def row(prompt: str, completion: str) -> Row:
    return Row(prompt, completion, kind="task", line=1)


def test_what_stands_before_the_prompt_is_read_and_not_learnt(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    plain = row("2 + 2?", "4")
    talk = replace(plain, history=(("system", "Be brief."), ("user", "Hi."), ("assistant", "Yes?")))
    short, long = (example_of(one, tokenizer, 512, FILE) for one in (plain, talk))
    assert long.completion_tokens == short.completion_tokens
    read = tokenizer.decode(long.ids[: long.prompt_tokens])
    assert [read.count(words) for words in ("Be brief.", "Hi.", "Yes?", "2 + 2?")] == [1, 1, 1, 1]
    assert read.index("Yes?") < read.index("2 + 2?")


HALF_TASK = Mix(task=0.50, refusals=0.12, answers=0.38)


@pytest.mark.parametrize(
    ("mix", "rows", "expected"),
    [
        (HALF_TASK, 8, (4, 1, 3)),
        (HALF_TASK, 50, (25, 6, 19)),
        (HALF_TASK, 240, (120, 29, 91)),
        (Mix(task=1, refusals=0, answers=0), 7, (7, 0, 0)),
        (Mix(task=0, refusals=1, answers=0), 5, (0, 5, 0)),
        (Mix(task=1 / 3, refusals=1 / 3, answers=1 / 3), 4, (2, 1, 1)),
    ],
)
def test_counts_of_the_mix(mix: Mix, rows: int, expected: tuple[int, ...]) -> None:
    assert tuple(rows_drawn(mix, rows).values()) == expected


@given(task=st.floats(0, 1), share=st.floats(0, 1), rows=st.integers(0, 500))
def test_counts_are_exact_to_less_than_a_row(task: float, share: float, rows: int) -> None:
    mix = Mix(task=task, refusals=(1 - task) * share, answers=(1 - task) * (1 - share))
    drawn = rows_drawn(mix, rows)
    assert sum(drawn.values()) == rows
    for count, part in zip(drawn.values(), (mix.task, mix.refusals, mix.answers), strict=True):
        assert abs(count - part * rows) < 1 + 1e-6


def test_sources_are_spread_evenly_over_the_steps() -> None:
    order = order_of_sources(rows_drawn(HALF_TASK, 240))
    steps = [Counter(order[k : k + 8]) for k in range(0, 240, 8)]
    assert sum(steps, Counter()) == {"task": 120, "refusal": 29, "answer": 91}
    assert all(3 <= step["task"] <= 5 for step in steps)
    assert all(step["refusal"] <= 2 and 2 <= step["answer"] <= 4 for step in steps)


def examples_named(first: int, n: int) -> list[Example]:
    return [Example((first + k, first + k), prompt_tokens=1) for k in range(n)]


def test_each_source_goes_round_in_reshuffled_cycles() -> None:
    sources = {"task": examples_named(0, 5), "refusal": examples_named(100, 2)}
    steps = draw_steps(sources, {"task": 15, "refusal": 4}, batch_size=4, seed=3)
    drawn = [example.ids[0] for step in steps for example in step]
    task = [token for token in drawn if token < 100]
    assert [len(step) for step in steps] == [4, 4, 4, 4, 3]
    assert Counter(task) == dict.fromkeys(range(5), 3)
    rounds = [task[k : k + 5] for k in range(0, 15, 5)]
    assert all(sorted(cycle) == list(range(5)) for cycle in rounds)
    assert len({tuple(cycle) for cycle in rounds}) > 1
    assert Counter(token for token in drawn if token >= 100) == {100: 2, 101: 2}


def test_one_sources_length_does_not_shift_anothers_order() -> None:
    def tasks(refusals: int, seed: int) -> list[int]:
        sources = {"task": examples_named(0, 9), "refusal": examples_named(100, refusals)}
        steps = draw_steps(sources, {"task": 9, "refusal": 3}, batch_size=4, seed=seed)
        return [example.ids[0] for step in steps for example in step if example.ids[0] < 100]

    assert tasks(1, seed=0) == tasks(7, seed=0)
    assert tasks(1, seed=0) != tasks(1, seed=1)


def test_completion_is_what_the_model_would_generate(tokenizer: PreTrainedTokenizerBase) -> None:
    (example,) = tokenise([row("Hé?", "Yes.")], tokenizer, 96, FILE)
    prompt, completion = (
        tokenizer.decode(example.ids[: example.prompt_tokens]),
        tokenizer.decode(example.ids[example.prompt_tokens :]),
    )
    assert prompt == "<|im_start|>user\nHé?<|im_end|>\n<|im_start|>assistant\n"
    assert completion == "Yes.<|im_end|>"


def test_end_of_turn_stays_in_the_mask_though_it_pads_too(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    rows = [row("Long enough to pad the other?", "Yes."), row("No?", "No.")]
    examples = tokenise(rows, tokenizer, 96, FILE)
    batch = collate(examples, tokenizer.pad_token_id)
    for k, example in enumerate(examples):
        assert batch.completion[k].sum() == example.completion_tokens
        assert batch.attention[k].sum() == len(example.ids)
        learnt = batch.ids[k][batch.completion[k]]
        assert learnt[-1] == tokenizer.eos_token_id
        assert (learnt[:-1] != tokenizer.eos_token_id).all()


def test_truncation_cuts_the_end_and_drops_what_has_no_completion_left(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    rows = [row("Hi?", "a" * 300), row("b" * 300, "Yes."), row("Hi?", "No.")]
    examples = tokenise(rows, tokenizer, 64, FILE)
    assert len(examples) == 2
    assert len(examples[0].ids) == 64
    assert examples[0].ids[-1] != tokenizer.eos_token_id
    assert examples[1].ids[-1] == tokenizer.eos_token_id


def test_nothing_left_to_learn_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(InvalidTaskData, match=r"all 1 prompts fill max_length 16"):
        tokenise([row("far too long for this", "Yes.")], tokenizer, 16, FILE)


def test_a_template_that_rewrites_answered_prompts_is_refused(baseline: Path) -> None:
    tokenizer = load_tokenizer(baseline)
    tokenizer.chat_template = "{{ messages | length }}{{ messages[0]['content'] }}"
    with pytest.raises(InvalidTaskData, match=r"rows\.jsonl, line 1: the chat template"):
        tokenise([row("Hi?", "No.")], tokenizer, 64, FILE)


def test_no_chat_template_is_refused(baseline: Path) -> None:
    tokenizer = load_tokenizer(baseline)
    tokenizer.chat_template = None
    with pytest.raises(CheckpointRefused, match="has no chat template"):
        tokenise([row("Hi?", "No.")], tokenizer, 64, FILE)


def test_rows_of_similar_length_go_together_and_none_is_lost() -> None:
    lengths = [5, 90, 7, 80, 6, 85, 8, 95, 9]
    groups = rows_together([Example((1,) * n, prompt_tokens=2) for n in lengths], rows=4)
    assert [len(group) for group in groups] == [4, 4, 1]
    assert [max(len(one.ids) for one in group) for group in groups] == [95, 9, 5]
    assert sum(len(one.ids) for group in groups for one in group) == sum(lengths)


def test_draws_without_end_repeat_no_cycle_of_the_same_seed() -> None:
    first, second = (
        [
            example.ids
            for step in draw_steps(
                {"task": examples_named(0, 6)}, {"task": 12}, batch_size=3, seed=8
            )
            for example in step
        ]
        for _ in range(2)
    )
    assert first == second
    assert list(islice(first, 6)) != first[6:]


def test_a_template_of_content_parts_is_trained_on_as_it_is_asked(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(build_tiny_llama(tmp_path / "parts"))
    tokenizer.chat_template = CHAT_TEMPLATE.replace("message['content']", "text(message)").replace(
        "{% for message", "{% macro text(m) %}{% for part in m.content %}{{ part.text }}"
        "{% endfor %}{% endmacro %}{% for message", 1
    )  # fmt: skip
    (example,) = tokenise([row("Why?", "Because.")], tokenizer, 64, FILE)
    assert tokenizer.decode(example.ids[: example.prompt_tokens]) == (
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(example.ids[example.prompt_tokens :]) == "Because.<|im_end|>"
