"""Whether a side thought before it answered, from the answers that its trials judge.

Answers say it themselves, so evidence is the same whether they came from a model or from the cache.
"""

from sqlalchemy.orm import Session

from holdfast.db.trials import find_answers, trial_rows
from holdfast.evidence.manifest import Thinking
from holdfast.probes.question import Answer
from workers.evaluation.case import Case, Side


def thinking_of(session: Session, case: Case, side: Side) -> Thinking | None:
    """How many of a side's answers to chats came after thoughts; None where none did."""
    budget = case.sampling_of(side).trace_tokens
    if not budget:
        return None
    chats = {
        (probe, question.item, question.variant)
        for probe, questions in case.questions.items()
        for question in questions
        if question.opens_a_turn
    }
    rows = trial_rows(session, case.evaluation_id, side.name)
    keys = {row.answer_key for row in rows if (row.probe, row.item, row.variant) in chats}
    documents = find_answers(session, sorted(keys)).values()
    completions = [
        completion
        for document in documents
        for completion in Answer.from_json(document).completions
    ]
    traces = [completion for completion in completions if completion.trace]
    if not traces:
        return None
    forced = sum(completion.forced for completion in traces)
    return Thinking(
        answers=len(completions), traces=len(traces), forced=forced, trace_tokens=budget
    )
