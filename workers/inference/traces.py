"""Thoughts and answer told apart while they are drawn, on token ids, for every engine alike.

An engine only has to go on from some tokens until one of a few others (`Request`). The rest is
here: a trace ends at its mark and the answer's budget begins behind it; a trace at the end of its
own budget is closed by writing the mark, and the model answers from there. Where a tokenizer has no
token for a mark, the mark is looked for in the text, a few tokens at a time.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.probes.engine import Completion, Sampling, before
from workers.inference.marks import Mark, Span, SpelledMarks, last_tokens
from workers.inference.tokens import Opened, Tokenizer, decode_answer

SLICE = 64  # tokens of a trace between two looks for a mark that is no token


@dataclass(frozen=True, slots=True)
class Request:
    """A request to draw on from `ids` until one of the tokens or texts, at most so many tokens."""

    ids: list[int]
    stops: frozenset[int]
    max_tokens: int
    until: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """The tokens drawn, the last one a stop if `finish` is `stop`; else it is `length` or `nan`."""

    tokens: list[int]
    finish: str


@dataclass(slots=True)
class Turn:
    """One answer while it is drawn; `room` is how many tokens prompt and answer may come to."""

    tokenizer: Tokenizer
    ends: frozenset[int]
    marks: SpelledMarks | None
    opened: Opened
    sampling: Sampling
    room: int
    finish: str = ""
    forced: bool = False
    tokens: int = 0
    _closed: bool = False
    _inside: bool = False
    _bare: bool = False  # a closing mark alone ends a trace that nobody opened
    _ids: list[int] = field(default_factory=list)
    _trace: list[int] = field(default_factory=list)
    _answer: list[int] = field(default_factory=list)
    _unread: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin where the prompt leaves off."""
        self._ids = list(self.opened.ids)
        if self.sampling.trace_tokens <= 0:
            self.marks = None
        if self.marks is not None:
            self._inside = self.opened.standing == "open"
            self._bare = self.opened.standing == "silent" and not self.opened.opening

    def request(self) -> Request | None:
        """The next tokens to draw; None once the answer has ended, which takes a token at least."""
        if self.marks is not None and self._inside and self._trace_room <= 0 and not self.finish:
            self._close(self.marks.forced)
        if self.finish:
            return None
        if self._inside and self.marks is not None:
            max_tokens = self._trace_room if self.marks.exact else min(self._trace_room, SLICE)
            return Request(self._ids, self.ends | last_tokens(self.marks.closings), max_tokens)
        remaining = self.sampling.max_tokens - len(self._answer) - len(self._unread)
        if remaining <= 0:
            self.finish = "length"
            return None
        return Request(
            self._ids, self.ends | self._stops_of_an_answer, remaining, self.sampling.until
        )

    def take(self, drawn: Drawn) -> None:
        """Read the drawn tokens: which are thoughts, and which the answer."""
        self._ids = self._ids + drawn.tokens
        self._unread += drawn.tokens
        self.tokens += len(drawn.tokens)
        if drawn.finish == "nan" or not drawn.tokens:
            self.finish = drawn.finish
            return
        at_a_mark = drawn.tokens[-1] in self._stops_at_marks
        while self.marks is not None and self._pass_a_mark(self.marks):
            pass
        if drawn.finish == "stop" and not at_a_mark:
            self.finish = "stop"

    def completion(self) -> Completion:
        """The answer, and what was thought before it."""
        if self.finish == "nan":
            return Completion("", "nan", self.tokens)
        trace = self._trace + (self._unread if self._inside else [])
        answer = self._answer + ([] if self._inside else self._unread)
        ids = answer[: self.sampling.max_tokens]
        begun, text = decode_answer(self.tokenizer, self.opened.opening, ids)
        return Completion(
            text=before(text.lstrip() if self._closed else text, self.sampling.until),
            finish=self.finish,
            tokens=self.tokens,
            opening=begun,
            trace=self._words_of(trace),
            forced=self.forced,
        )

    @property
    def _trace_room(self) -> int:
        forced = () if self.marks is None else self.marks.forced
        room = self.room - len(self.opened.ids) - len(forced) - self.sampling.max_tokens
        budget = min(self.sampling.trace_tokens, room)
        return budget - len(self._trace) - len(self._unread)

    @property
    def _stops_of_an_answer(self) -> frozenset[int]:
        """Tokens that an answer is not to run past: a trace begins, or has ended unopened."""
        if self.marks is None:
            return frozenset()
        return last_tokens((self.marks.opening, *(self.marks.closings if self._bare else ())))

    @property
    def _stops_at_marks(self) -> frozenset[int]:
        if self.marks is None:
            return frozenset()
        return last_tokens((self.marks.opening, *self.marks.closings))

    def _close(self, forced: Sequence[int]) -> None:
        """End the trace for the model, which answers from here."""
        self._trace += self._unread
        self._unread = []
        self._ids = [*self._ids, *forced]
        self._inside, self._bare, self._closed, self.forced = False, False, True, True

    def _pass_a_mark(self, marks: SpelledMarks) -> bool:
        """Put what lies before the next mark where it belongs; whether there was a mark."""
        closed = self._first(marks.closings if self._inside or self._bare else ())
        opened = None if self._inside else self._begins_a_trace(marks.opening)
        if closed is not None and (opened is None or closed[0] <= opened[0]):
            if not self._inside:  # what looked like an answer was a trace
                self._trace, self._answer = [*self._trace, *self._answer], []
            self._trace += self._unread[: closed[0]]
            self._unread = self._unread[closed[1] :]
            self._inside, self._bare, self._closed = False, False, True
            return True
        if opened is not None:
            self._answer += _without_end(self._unread[: opened[0]], marks.between)
            self._unread = self._unread[opened[0] :]
            self._inside, self._bare = True, False
            return True
        return False

    def _begins_a_trace(self, mark: Mark) -> Span | None:
        """A mark that is no token may be quoted, so it counts at the beginning of a turn alone."""
        if (place := mark.find(self._unread, self.tokenizer)) is None:
            return None
        before_mark = [*self.opened.opening, *self._answer, *self._unread[: place[0]]]
        return place if mark.exact or not self.tokenizer.decode(before_mark).strip() else None

    def _first(self, marks: Sequence[Mark]) -> Span | None:
        spans = [mark.find(self._unread, self.tokenizer) for mark in marks]
        return min((span for span in spans if span is not None), default=None)

    def _words_of(self, trace: Sequence[int]) -> str:
        if self.marks is None or not trace:
            return ""
        ids = [token for token in trace if token not in self.ends]
        text = str(self.tokenizer.decode(ids, skip_special_tokens=False))
        return re.sub(self.marks.texts.noise, "\n", text).strip()


def answers(
    turns: Mapping[int, Turn],
    draw: Callable[[dict[int, Request]], Iterator[tuple[int, Drawn]]],
) -> Iterator[tuple[int, Completion]]:
    """Every turn's answer as it ends; all that go on are drawn together, round by round."""
    first = ((index, turn.request()) for index, turn in turns.items())
    waiting = {index: request for index, request in first if request is not None}
    while waiting:
        following: dict[int, Request] = {}
        for index, drawn in draw(waiting):
            turns[index].take(drawn)
            if (request := turns[index].request()) is None:
                yield index, turns[index].completion()
            else:
                following[index] = request
        waiting = following


def _without_end(ids: list[int], end: Sequence[int]) -> list[int]:
    return ids[: -len(end)] if end and tuple(ids[-len(end) :]) == tuple(end) else ids
