"""Rows and pairs for the two objectives: tame ones by their lengths, and the models' own answers.

What a model answers to the rehearsal pool is made on the fly in the caller's temporary folder.
"""

from pathlib import Path
from typing import Any

PAIRS = 24  # at most
HELD_OUT = 16  # task rows

SLICES = ("trained on", "held out")


def tame_data(folder: Path, chain: Path) -> dict[str, Path]:
    """Pairs and look-alikes of the usual lengths, with nothing to generate."""
    from examples.demo.data import maths, refusal, write_lines

    harmful, benign = pool()
    said = [row["completion"] for row in maths(2 * PAIRS, seed=7)]
    pairs = [
        {"prompt": prompt, "chosen": refusal(prompt), "rejected": answer}
        for prompt, answer in zip(harmful[:PAIRS], said, strict=False)
    ]
    answers = [
        {"prompt": prompt, "completion": answer, "kind": "answer"}
        for prompt, answer in zip(benign, said[PAIRS:], strict=False)
    ]
    return {
        "preference_data": write_lines(folder / "pairs.jsonl", pairs),
        "rehearsal_data": write_lines(folder / "answers.jsonl", answers),
        "task_data": chain / "maths.jsonl",
    }


def pool() -> tuple[list[str], list[str]]:
    """Harmful and benign prompts that repairs may train on."""
    from holdfast.suites import Request, load_suite

    items = [one for one in load_suite("rehearsal").items if isinstance(one, Request)]
    harmful = [one.prompt for one in items if one.kind == "harmful"][: PAIRS * 5 // 2]
    return harmful, [one.prompt for one in items if one.kind == "benign"][:PAIRS]


def made_data(folder: Path, chain: Path) -> dict[str, Path]:
    """Pairs and look-alikes in files of `folder`: ours, and the chain's models' own answers."""
    from examples.demo.data import maths, refusal, write_lines
    from holdfast.judges.refusal import judge_refusal
    from training.weights.model import load_policy, load_tokenizer

    harmful, benign = pool()
    tokenizer = load_tokenizer(chain / "eroded")
    bad = greedy(load_policy(chain / "eroded"), tokenizer, harmful)
    good = greedy(load_policy(chain / "aligned"), tokenizer, benign)
    pairs = [
        {"prompt": prompt, "chosen": refusal(prompt), "rejected": answer}
        for prompt, answer in zip(harmful, bad, strict=True)
        if judge_refusal(prompt, answer).label == "compliance"
    ]
    answers = [
        {"prompt": prompt, "completion": answer, "kind": "answer"}
        for prompt, answer in zip(benign, good, strict=True)
        if judge_refusal(prompt, answer).label == "compliance"
    ]
    split = min(PAIRS, 2 * len(pairs) // 3)  # the eroded model does not answer every request
    return {
        "preference_data": write_lines(folder / "pairs.jsonl", pairs[:split]),
        "held_pairs": write_lines(folder / "held-pairs.jsonl", pairs[split:]),
        "held_rows": write_lines(folder / "held-rows.jsonl", list(maths(HELD_OUT, seed=1_000))),
        "rehearsal_data": write_lines(folder / "answers.jsonl", answers),
        "task_data": chain / "maths.jsonl",
    }


def greedy(policy: Any, tokenizer: Any, prompts: list[str]) -> list[str]:
    """Answers of at most 40 tokens, 16 prompts at a time."""
    import torch

    tokenizer.padding_side = "left"
    found = []
    for k in range(0, len(prompts), 16):
        turns = [[{"role": "user", "content": prompt}] for prompt in prompts[k : k + 16]]
        given = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            whole = policy.generate(**given, max_new_tokens=40, do_sample=False)
        answers = whole[:, given["input_ids"].shape[1] :]
        found += tokenizer.batch_decode(answers, skip_special_tokens=True)
    return found
