"""quality.winrate's judge: an answer beside the baseline's to the same question, in both orders.

Every side is held against the same opponent, the baseline, so that a trial says something of its
own side alone and any two sides can be paired: candidate with baseline, candidate with anchor. The
baseline itself ties with itself, without being read. So do answers that are the same text. What the
judge preferred is kept, by its identity and both answers in their order; what it failed to say is
not, and is asked again by whoever comes next.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Engine as Database

from holdfast.db.session import reading, transaction
from holdfast.db.trials import find_answers, save_answers
from holdfast.evidence.trial import Trial, scored, unscored
from holdfast.judges.endpoint import EndpointJudge, endpoint_of
from holdfast.judges.judgement import Judgement
from holdfast.judges.preference import Preference, loss, speaks_to_judge
from holdfast.probes.question import Answer, Question
from workers.evaluation.answers import answer_key
from workers.evaluation.case import Case, Side
from workers.evaluation.grading import Grade
from workers.worker import Worker

TIE = 0.5
BASELINE = "baseline"
PREFERENCES: tuple[Preference, ...] = ("first", "second", "tie")


@dataclass(frozen=True, slots=True)
class Remembering:
    """A judge that is asked each thing once; `checkpoint` is whose answers it compares."""

    judge: EndpointJudge
    database: Database
    checkpoint: str

    def compare(self, request: str, first: str, second: str) -> Preference | Judgement:
        """Which answer is better, in this order; a judgement only where that is unscored."""
        key = judgement_key(self.judge.endpoint.sha256, request, first, second)
        with reading(self.database) as session:
            stored = find_answers(session, [key]).get(key, {}).get("preferred")
        if stored in PREFERENCES:
            return PREFERENCES[PREFERENCES.index(stored)]
        preference = self.judge.compare(request, first, second)
        if not isinstance(preference, Judgement):
            with transaction(self.database) as session:
                save_answers(session, self.checkpoint, [(key, {"preferred": preference})])
        return preference


@contextmanager
def preferring(worker: Worker, case: Case, side: Side, probe: str) -> Iterator[Grade]:
    """The function that judges one answer of this side; the baseline must have answered before."""
    is_baseline = side.name == BASELINE
    theirs = {} if is_baseline else answers_of_baseline(worker, case, probe)
    with EndpointJudge(endpoint_of("rubric", worker.settings, os.environ)) as judge:
        remembering = Remembering(judge, worker.database, side.checkpoint.digest)

        def grade(question: Question, answer: Answer) -> Trial:
            opponent = answer.text if is_baseline else theirs.get(question.item)
            loss_or_reason = judge_pair(remembering, question.prompt_text, answer.text, opponent)
            at = (probe, question.item, question.cluster)
            trial = (
                unscored(*at, loss_or_reason)
                if isinstance(loss_or_reason, str)
                else scored(*at, loss_or_reason)
            )
            return replace(trial, variant=question.variant, group=question.group)

        yield grade


def judge_pair(judge: Remembering, request: str, ours: str, theirs: str | None) -> float | str:
    """How much our answer lost to theirs, 0 to 1, or in words why nobody can say."""
    if theirs is None:
        return "the baseline's answer is not stored"
    if not (ours.strip() and theirs.strip()):
        return "empty completion" if theirs.strip() else "the baseline's completion is empty"
    if ours == theirs:
        return TIE
    if speaks_to_judge(ours) or speaks_to_judge(theirs):
        return "an answer speaks to the judge"
    put_first = judge.compare(request, ours, theirs)
    if isinstance(put_first, Judgement):
        return put_first.reason
    put_second = judge.compare(request, theirs, ours)
    return put_second.reason if isinstance(put_second, Judgement) else loss(put_first, put_second)


def answers_of_baseline(worker: Worker, case: Case, probe: str) -> dict[str, str]:
    """The baseline's answers by item, as far as they are stored."""
    (baseline,) = (side for side in case.sides if side.name == BASELINE)
    keys = {
        answer_key(case, baseline, probe, question, worker.engine.backend): question.item
        for question in case.questions[probe]
    }
    with reading(worker.database) as session:
        documents = find_answers(session, list(keys))
    return {keys[key]: Answer.from_json(document).text for key, document in documents.items()}


def judgement_key(judge: str, request: str, first: str, second: str) -> str:
    """64 hex over the judge's identity, the request and both answers in their order."""
    texts = (hashlib.sha256(text.encode()).hexdigest() for text in (request, first, second))
    return hashlib.sha256("\n".join((judge, *texts)).encode()).hexdigest()
