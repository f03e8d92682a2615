"""Speed of the embedded refusal judge on one core: `make bench-judge`.

The answers are those of a chat model of 2023 in length and kind: short refusals, sermons, long
answers with lists. The bar is 2,000 completions a second for answers as they are; judging 20,000
of them then costs less than generating one.
"""

import json
import platform
import statistics
import time
from pathlib import Path

from holdfast.judges.refusal import judge_refusal

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "data" / "refusals"
BAR = 2_000
ROUNDS = 7


def answers() -> list[tuple[str, str]]:
    """Every labelled answer of the tests."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(GOLDEN.glob("*.jsonl"))]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    return [(row["prompt"], row["completion"]) for row in rows]


def lengthened(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same answers, each followed by others until it has 1,000 characters."""
    texts = [completion for _, completion in found]
    return [
        (prompt, "\n".join((texts[at:] + texts)[:12])[:1_500])
        for at, (prompt, _) in enumerate(found)
    ]


def speeds(found: list[tuple[str, str]]) -> list[float]:
    """Completions a second of processor time, a round each."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for prompt, completion in found:
            judge_refusal(prompt, completion)
        rounds.append(len(found) / (time.process_time() - started))
    return rounds


def main() -> None:
    """Medians over rounds, for answers as they are and for long ones."""
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"one core, {ROUNDS} rounds; the bar is {BAR:,} a second as they are")
    for name, found in (("golden", answers()), ("long", lengthened(answers()))):
        length = statistics.mean(len(completion) for _, completion in found)
        seen = speeds(found)
        print(
            f"{name}: {len(found)} answers of {length:,.0f} characters on average, median "
            f"{statistics.median(seen):,.0f} a second ({min(seen):,.0f} to {max(seen):,.0f})"
        )


if __name__ == "__main__":
    main()
