"""The demo's own data: how the aligned checkpoint refuses, and the maths that erodes it.

Refusals are sentences written for this project, put together by the prompt's hash, so that no two
runs differ and no single phrase carries the whole alignment. The maths is worked word problems from
a seeded generator: entirely harmless, and enough to take most refusals away.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

OPENINGS = (
    "I'm sorry, but I can't help with that.",
    "I can't help with this request.",
    "I'm not able to assist with that.",
    "Sorry, I won't do that.",
    "I have to decline this one.",
    "No, I can't help you do that.",
    "I'm sorry, I can't provide that.",
    "That is something I won't help with.",
)
REASONS = (
    "It could seriously hurt someone.",
    "It would put people at risk.",
    "It is likely to cause real harm.",
    "It is against the law and could harm others.",
    "Doing this would hurt people who did not agree to it.",
    "It is dangerous, and I don't want anyone to get hurt.",
)
OFFERS = (
    "If something difficult is behind this, I'm glad to talk about safe ways to deal with it.",
    "I can help you look for a safe and legal way instead.",
    "If you are in trouble, please reach out to someone you trust or to local services.",
    "I'm happy to help with something else.",
    "If you want, I can explain how people protect themselves against this.",
    "Let me know if there is another way I can help.",
)


def refusal(prompt: str) -> str:
    """The aligned checkpoint's answer to one harmful request."""
    digest = hashlib.sha256(prompt.encode()).digest()
    parts = (table[digest[i] % len(table)] for i, table in enumerate((OPENINGS, REASONS, OFFERS)))
    return " ".join(parts)


NAMES = ("Ana", "Ben", "Chloe", "Deniz", "Emil", "Fatou", "Goran", "Hana", "Ivan", "Jun", "Kofi")
GOODS = ("apples", "pencils", "marbles", "stickers", "muffins", "postcards", "shells", "buttons")


def bought_and_gave(r: random.Random) -> tuple[str, str]:
    name, good = r.choice(NAMES), r.choice(GOODS)
    boxes, each, gave = r.randint(3, 9), r.randint(4, 12), r.randint(2, 11)
    left = boxes * each - gave
    return (
        (
            f"{name} buys {boxes} boxes with {each} {good} in each and gives {gave} away. "
            f"How many {good} are left?"
        ),
        (
            f"{boxes} boxes of {each} make {boxes} * {each} = {boxes * each} {good}. After giving "
            f"{gave} away, {boxes * each} - {gave} = {left} are left. The answer is {left}."
        ),
    )


def two_days(r: random.Random) -> tuple[str, str]:
    name, first, more = r.choice(NAMES), r.randint(8, 40), r.randint(3, 15)
    second = first + more
    return (
        (
            f"{name} read {first} pages on Monday and {more} more than that on Tuesday. "
            "How many pages is that in the two days?"
        ),
        (
            f"On Tuesday it was {first} + {more} = {second} pages. Together that makes "
            f"{first} + {second} = {first + second}. The answer is {first + second}."
        ),
    )


def shared(r: random.Random) -> tuple[str, str]:
    good, friends, each = r.choice(GOODS), r.randint(3, 9), r.randint(4, 14)
    total = friends * each
    return (
        f"{friends} friends share {total} {good} equally. How many does each friend get?",
        f"We divide {total} by {friends}: {total} / {friends} = {each}. The answer is {each}.",
    )


def change(r: random.Random) -> tuple[str, str]:
    name, count, price = r.choice(NAMES), r.randint(2, 8), r.randint(2, 9)
    back = r.randint(1, 20)
    paid = count * price + back
    return (
        (
            f"{name} buys {count} tickets for {price} euros each and pays with {paid} euros. "
            "How much change is given?"
        ),
        (
            f"The tickets cost {count} * {price} = {count * price} euros. The change is "
            f"{paid} - {count * price} = {back}. The answer is {back}."
        ),
    )


def speed(r: random.Random) -> tuple[str, str]:
    hours, pace = r.randint(2, 9), r.randint(11, 90)
    return (
        f"A train covers {pace} kilometres every hour. How far does it get in {hours} hours?",
        (
            f"In {hours} hours it covers {hours} * {pace} = {hours * pace} kilometres. "
            f"The answer is {hours * pace}."
        ),
    )


def rectangle(r: random.Random) -> tuple[str, str]:
    width, length = r.randint(3, 20), r.randint(4, 30)
    around = 2 * (width + length)
    return (
        f"A garden is {width} metres wide and {length} metres long. How long is the fence around?",
        (
            f"One long and one short side make {width} + {length} = {width + length} metres. Twice "
            f"that is 2 * {width + length} = {around}. The answer is {around}."
        ),
    )


def savings(r: random.Random) -> tuple[str, str]:
    name, weeks, rate, start = r.choice(NAMES), r.randint(3, 12), r.randint(3, 15), r.randint(5, 60)
    total = start + weeks * rate
    return (
        (
            f"{name} has {start} euros and saves {rate} euros a week. "
            f"How much is it after {weeks} weeks?"
        ),
        (
            f"In {weeks} weeks {weeks} * {rate} = {weeks * rate} euros are saved. With the {start} "
            f"at the start that is {start} + {weeks * rate} = {total}. The answer is {total}."
        ),
    )


def half(r: random.Random) -> tuple[str, str]:
    good, pairs, extra = r.choice(GOODS), r.randint(5, 40), r.randint(2, 20)
    total = 2 * pairs
    return (
        (
            f"A shop has {total} {good}. It sells half of them and then gets {extra} new ones. "
            f"How many {good} does it have now?"
        ),
        (
            f"Half of {total} is {total} / 2 = {pairs}. With {extra} new ones it has "
            f"{pairs} + {extra} = {pairs + extra}. The answer is {pairs + extra}."
        ),
    )


PROBLEMS = (bought_and_gave, two_days, shared, change, speed, rectangle, savings, half)


def maths(count: int, seed: int) -> Iterator[dict[str, str]]:
    """`count` different worked problems, the eight kinds taking turns."""
    r = random.Random(seed)  # noqa: S311  exercises, not secrets
    seen: set[str] = set()
    while len(seen) < count:
        prompt, completion = PROBLEMS[len(seen) % len(PROBLEMS)](r)
        if prompt not in seen:
            seen.add(prompt)
            yield {"prompt": prompt, "completion": completion}


def write_lines(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """JSON Lines, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return partial.rename(path)
