"""Questions put to an open engine: one call for each kind of ask, conversations turn by turn.

A conversation is asked turn by turn, all items' first turns as one batch, then all second ones:
between the user's turns stand the target's own replies, never anybody else's words, and not what it
thought before them, as templates of reasoning models leave that out of earlier turns too. Its
fingerprint holds the user's turns; the replies between them follow from those, the checkpoint and
the sampling, and are stored with the answer, so that the whole conversation can be read and judged
again.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from holdfast.probes.engine import Completion, Continuation, Engine, Message, Sampling
from holdfast.probes.question import (
    Answer,
    Converse,
    Dialogue,
    Drawn,
    Generate,
    Place,
    Question,
    Reply,
)


def ask(
    engine: Engine, questions: Sequence[Question], sampling: Sampling
) -> Iterator[tuple[Question, Answer]]:
    """Put the questions to an open engine; each comes back as soon as its last reply is in.

    `max_tokens` of `sampling` gives way to that of the ask.
    """
    waiting: dict[int, dict[int, Reply]] = {at: {} for at in range(len(questions))}
    for (at, place), reply in _replies(engine, questions, sampling):
        waiting[at][place] = reply
        question = questions[at]
        if len(waiting[at]) == len(question.asks):
            replies = waiting.pop(at)
            yield question, Answer(tuple(replies[place] for place in range(len(question.asks))))


def _replies(
    engine: Engine, questions: Sequence[Question], sampling: Sampling
) -> Iterator[tuple[Place, Reply]]:
    """Every reply with the place that it belongs to; one engine call for each kind of ask."""
    asks = [
        ((at, place), request)
        for at, question in enumerate(questions)
        for place, request in enumerate(question.asks)
    ]
    single = [(key, request) for key, request in asks if isinstance(request, Generate)]
    yield from _completions(engine, single, sampling)
    conversations = {key: request for key, request in asks if isinstance(request, Converse)}
    yield from _dialogues(engine, conversations, sampling)
    to_score = [(key, request) for key, request in asks if isinstance(request, Continuation)]
    if to_score:
        scored = engine.logprobs([request for _, request in to_score], sampling.template_arguments)
        for index, score in scored:
            yield to_score[index][0], score


def _completions(
    engine: Engine, asks: Sequence[tuple[Place, Generate]], sampling: Sampling
) -> Iterator[tuple[Place, Completion]]:
    """One engine call for everything that is drawn in one way."""

    def drawing(pair: tuple[Place, Generate]) -> tuple[int, float, int, tuple[str, ...]]:
        request = pair[1]
        drawn = request.drawn or Drawn(sampling.temperature, sampling.seed)
        return request.max_tokens, drawn.temperature, drawn.seed, request.until or ()

    for how, same in groupby(sorted(asks, key=drawing), key=drawing):
        keys, generated = zip(*same, strict=True)
        prompts = [request.prompt for request in generated]
        drawing_so = Sampling(*how, sampling.template_arguments, sampling.trace_tokens)
        for index, completion in engine.generate(prompts, drawing_so):
            yield keys[index], completion


def _dialogues(
    engine: Engine, conversations: Mapping[Place, Converse], sampling: Sampling
) -> Iterator[tuple[Place, Dialogue]]:
    """Turn by turn, all conversations at once; each is whole with the reply to its last turn."""
    replies_by_place: dict[Place, tuple[Completion, ...]] = dict.fromkeys(conversations, ())
    while replies_by_place:
        asks = [
            (
                place,
                Generate(_so_far(conversations[place], replies), conversations[place].max_tokens),
            )
            for place, replies in replies_by_place.items()
        ]
        for place, completion in _completions(engine, asks, sampling):
            replies_by_place[place] += (completion,)
            if len(replies_by_place[place]) == len(conversations[place].turns):
                yield place, Dialogue(replies_by_place.pop(place))


def _so_far(conversation: Converse, replies: Sequence[Completion]) -> tuple[Message, ...]:
    """The turns that have been answered, with their answers, and the next one."""
    turns = [Message("user", turn) for turn in conversation.turns]
    answers = [Message("assistant", completion.text) for completion in replies]
    answered = [message for pair in zip(turns, answers, strict=False) for message in pair]
    return (*answered, turns[len(replies)])
