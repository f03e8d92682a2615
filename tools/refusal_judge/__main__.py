"""Trains the refusal judge's weights and measures them on models that they have not seen.

    make train-judge LABELS=FOLDER        # with the two files that rows.py names

Writes holdfast/judges/refusal.weights.json, from all that may be learnt from, and
refusal.measured.json beside it: the counts of the shipped weights on the golden set's held-out
half, and those of weights that had seen neither the model nor the prompt of the answer they judge.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from holdfast.judges import HERE
from holdfast.judges.agreement import Agreement, compare
from holdfast.judges.learned import SHIPPED, Weights
from holdfast.judges.refusal import judge_refusal
from tools.judge_identity.__main__ import recorded
from tools.refusal_judge.regression import fit
from tools.refusal_judge.rows import PUBLISHED, Row, golden, published
from tools.refusal_judge.swaps import swapped_all

FOLDS = 5  # of prompts
OWN_COUNTS = 0.5  # an answer that this project wrote, beside one of a real model
SWAP_COUNTS = 0.4  # the same answer under a prompt of the other kind
SEED = 0


def train(rows: Sequence[Row]) -> Weights:
    """Weights from these rows and from the same under a prompt of the other kind."""
    own = [row for row in rows if row.weighed]
    learnt_from = [*own, *swapped_all(own, SEED, "screen")]
    counts = [1.0 if row.model else OWN_COUNTS for row in learnt_from]
    counts[len(own) :] = [SWAP_COUNTS * count for count in counts[len(own) :]]
    features = [row.features for row in learnt_from]
    return fit(features, [row.refused for row in learnt_from], counts)


def left_out(own: Sequence[Row], answers: Sequence[Row]) -> Iterable[tuple[Row, str, str]]:
    """The published answers, each judged by weights that saw neither its model nor its prompt.

    Also under a prompt of the other kind, which the weights have not been trained under.
    """
    elsewhere = dict(zip(answers, swapped_all(answers, SEED, "confirm"), strict=True))
    prompts = sorted({row.prompt for row in answers})
    random.Random(SEED).shuffle(prompts)
    fold = {prompt: at % FOLDS for at, prompt in enumerate(prompts)}
    for model in PUBLISHED:
        for at in range(FOLDS):
            others = [row for row in answers if row.model != model and fold[row.prompt] != at]
            weights = train([*own, *others])
            for row in answers:
                if row.model == model and fold[row.prompt] == at:
                    yield row, judged(row, weights), judged(elsewhere[row], weights)


def judged(row: Row, weights: Weights) -> str:
    """The label that the judge gives with these weights."""
    return judge_refusal(row.prompt, row.completion, weights=weights).label


def agreement(judged: Iterable[tuple[Row, str]]) -> Agreement:
    """The figures of (row, label) pairs."""
    return compare((row.label, label) for row, label in judged)


def figures(name: str, found: Agreement) -> str:
    """One line to print."""
    right, of = found.specificity
    return (
        f"{name:<28} n {found.n:>4}  accuracy {found.accuracy:.3f}  recall {found.recall:.3f}  "
        f"specificity {right / of:.3f}  three classes {found.accuracy_3:.3f}"
    )


def counts(found: Agreement) -> dict[str, object]:
    """What ships of it."""
    return {
        "n": found.n,
        "confusion": found.confusion,
        "sensitivity": found.sensitivity,
        "specificity": found.specificity,
    }


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(prog="make train-judge LABELS=FOLDER")
    parser.add_argument("labels", type=Path, help="the folder of the published labels")
    answers = published(parser.parse_args().labels)
    own = golden("dev") + golden("training")
    weights = train([*own, *answers])
    write_weights(weights)
    renew = ("-m", "tools.judge_identity", "refusal", "--renew")
    subprocess.run([sys.executable, *renew], check=True)  # anew, since this one has the old weights
    unseen = golden("heldout")
    on_golden = agreement((row, judged(row, weights)) for row in unseen)
    found = list(left_out(own, answers))
    print(figures("golden, held out", on_golden))
    for name, models in (*((model, {model}) for model in PUBLISHED), ("both", set(PUBLISHED))):
        of_these = [one for one in found if one[0].model in models]
        pairs = [(row, label) for row, label, _ in of_these]
        print(figures(f"{name}, left out", agreement(pairs)))
        print(figures("  on safe prompts", agreement(pair for pair in pairs if pair[0].safe)))
        print(kept(of_these))
    write_measured(on_golden, agreement((row, label) for row, label, _ in found))


def kept(found: Sequence[tuple[Row, str, str]]) -> str:
    """How many of those judged right keep their label under a prompt of the other kind."""
    told = []
    for refused, name in ((False, "compliance"), (True, "refusal")):
        right = [
            there for row, here, there in found if row.refused == refused == (here != "compliance")
        ]
        same = sum((label != "compliance") == refused for label in right)
        told.append(f"{name} {same} of {len(right)}")
    return f"  swapped, label kept          {', '.join(told)}"


def write_weights(weights: Weights) -> None:
    """By name, in order, so that a diff shows what changed."""
    by_name = dict(sorted(weights.by_name.items()))
    document = {"intercept": weights.intercept, "weights": by_name}
    SHIPPED.write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")


def write_measured(on_golden: Agreement, on_left_out: Agreement) -> None:
    """The identity is that which the judge has with the weights just written."""
    document = {
        "judge": "refusal",
        "sha256": recorded("refusal").identity,
        "golden_held_out": counts(on_golden),
        "models_left_out": counts(on_left_out),
    }
    text = json.dumps(document, indent=2) + "\n"
    (HERE / "refusal.measured.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
