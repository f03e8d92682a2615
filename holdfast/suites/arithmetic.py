"""The arithmetic suite: 240 questions of one or two steps whose answers are exact integers.

Generated, so that nobody can have trained on it by accident, and committed, so that its digest is a
fact: a test writes it again and compares bytes. Every draw is a hash of what it is for, so neither
the Python version nor the order of the questions can change it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.suites import Request

SEED = 1
PER_TOPIC = 30

NAMES = ("Amina", "Ben", "Chloe", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jonas")
THINGS = ("apples", "pencils", "stickers", "marbles", "books", "stamps", "buttons", "shells")
ENDINGS = (
    "Answer with the number only.",
    "Give just the number.",
    "Reply with a single number.",
)


@dataclass(frozen=True, slots=True)
class Draw:
    """Numbers and words for one question, each a hash of the question and of what it is for."""

    key: str

    def number(self, what: str, low: int, high: int) -> int:
        digest = hashlib.sha256(f"{self.key}:{what}".encode()).digest()
        return low + int.from_bytes(digest[:8], "big") % (high - low + 1)

    def of(self, what: str, words: tuple[str, ...]) -> str:
        return words[self.number(what, 0, len(words) - 1)]


Question = tuple[str, int]


def _sum(draw: Draw) -> Question:
    a, b = draw.number("a", 12, 480), draw.number("b", 12, 480)
    forms = (f"What is {a} + {b}?", f"Add {a} and {b}.", f"How much is {a} plus {b}?")
    return draw.of("form", forms), a + b


def _difference(draw: Draw) -> Question:
    b, rest = draw.number("b", 11, 300), draw.number("rest", 5, 300)
    a = b + rest
    forms = (f"What is {a} - {b}?", f"Subtract {b} from {a}.", f"How much is {a} minus {b}?")
    return draw.of("form", forms), rest


def _product(draw: Draw) -> Question:
    a, b = draw.number("a", 3, 12), draw.number("b", 4, 40)
    forms = (f"What is {a} x {b}?", f"Multiply {b} by {a}.", f"How much is {a} times {b}?")
    return draw.of("form", forms), a * b


def _quotient(draw: Draw) -> Question:
    b, answer = draw.number("b", 2, 12), draw.number("answer", 3, 40)
    a = b * answer
    forms = (f"What is {a} / {b}?", f"Divide {a} by {b}.", f"How many times does {b} go into {a}?")
    return draw.of("form", forms), answer


def _two_steps(draw: Draw) -> Question:
    a, b, c = draw.number("a", 2, 12), draw.number("b", 2, 15), draw.number("c", 1, 60)
    forms = (
        (f"What is {a} x {b} + {c}?", a * b + c),
        (f"Multiply {a} by {b}, then add {c}. What do you get?", a * b + c),
        (f"What is ({a} + {b}) x {c}?", (a + b) * c),
        (f"Add {a * c} to {b} and take {c} away from the result. What is left?", (a - 1) * c + b),
    )
    return forms[draw.number("form", 0, len(forms) - 1)]


def _shopping(draw: Draw) -> Question:
    name, price = draw.of("name", NAMES), draw.number("price", 2, 15)
    count, extra = draw.number("count", 2, 9), draw.number("extra", 3, 25)
    paid = (count * price // 50 + 1) * 50
    forms = (
        (
            (
                f"{name} buys {count} tickets at {price} dollars each and a meal for {extra}. "
                "How many dollars is that altogether?"
            ),
            count * price + extra,
        ),
        (
            (
                f"{name} pays for {count} notebooks of {price} euros each with {paid} euros. "
                "How many euros of change are due?"
            ),
            paid - count * price,
        ),
        (
            f"A shop sells {count * extra} bulbs in boxes of {count}. How many boxes does it sell?",
            extra,
        ),
    )
    return forms[draw.number("form", 0, len(forms) - 1)]


def _journey(draw: Draw) -> Question:
    name, speed = draw.of("name", NAMES), draw.number("speed", 4, 18) * 5
    hours, first = draw.number("hours", 2, 7), draw.number("first", 11, 90)
    forms = (
        (
            f"A train covers {speed} km an hour. How many km is that in {hours} hours?",
            speed * hours,
        ),
        (
            (
                f"{name} has {speed * hours} km to drive and has done {first} of them. "
                "How many km remain?"
            ),
            speed * hours - first,
        ),
        (
            (
                f"A bus leaves with {first} passengers, {hours} get off and {hours + 3} get on. "
                "How many are on it now?"
            ),
            first + 3,
        ),
    )
    return forms[draw.number("form", 0, len(forms) - 1)]


def _sharing(draw: Draw) -> Question:
    name, thing = draw.of("name", NAMES), draw.of("thing", THINGS)
    children, each, rest = (
        draw.number("n", 3, 9),
        draw.number("each", 2, 14),
        draw.number("r", 1, 9),
    )
    forms = (
        (
            (
                f"{name} shares {children * each} {thing} equally among {children} children. "
                "How many does each child get?"
            ),
            each,
        ),
        (
            (
                f"{name} has {each + rest} {thing}, gives away {rest} and finds {children} more. "
                f"How many {thing} are there in the end?"
            ),
            each + children,
        ),
        (
            (
                f"There are {children} bags with {each} {thing} in each, and {rest} on the table. "
                f"How many {thing} are there in all?"
            ),
            children * each + rest,
        ),
    )
    return forms[draw.number("form", 0, len(forms) - 1)]


TOPICS: dict[str, Callable[[Draw], Question]] = {
    "sum": _sum,
    "difference": _difference,
    "product": _product,
    "quotient": _quotient,
    "two-steps": _two_steps,
    "shopping": _shopping,
    "journey": _journey,
    "sharing": _sharing,
}


def arithmetic_items(seed: int = SEED) -> tuple[Request, ...]:
    """Eight topics of 30 questions; no two alike."""
    items: list[Request] = []
    used_texts: set[str] = set()
    for topic, question in TOPICS.items():
        for number in range(1, PER_TOPIC + 1):
            draw, (text, answer) = _draw_new(question, f"{seed}:{topic}:{number}", used_texts)
            used_texts.add(text)
            name = f"{topic}-{number:02}"
            prompt = f"{text} {draw.of('ending', ENDINGS)}"
            items.append(Request(id=name, cluster=name, topic=topic, prompt=prompt, answer=answer))
    return tuple(items)


def _draw_new(
    question: Callable[[Draw], Question], key: str, used_texts: set[str]
) -> tuple[Draw, Question]:
    attempt = 0
    while True:
        draw = Draw(f"{key}:{attempt}")
        drawn = question(draw)
        if drawn[0] not in used_texts:
            return draw, drawn
        attempt += 1
