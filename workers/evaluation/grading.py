"""Who judges a probe's answers: the probe itself, or the judge that its check names.

A task of lm-evaluation-harness is scored by its own metric, in the process that holds it.
`judge: guard` or `judge: rubric` on a check sends the answers of that probe to the endpoint of the
settings. It reads the item's own request, not the attack around it, and its score is the badness,
also of an answer that says nothing, which the trial names.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from holdfast.evidence.trial import Measure, Trial, says_nothing, scored, unscored
from holdfast.judges.coherence import incoherence
from holdfast.judges.endpoint import EndpointJudge, endpoint_of
from holdfast.probes.items import suite_for
from holdfast.probes.question import Answer, Question
from holdfast.probes.table import probe_of, spec_of
from holdfast.settings import Settings
from workers.evaluation.case import Case
from workers.harness.child import open_task

Grade = Callable[[Question, Answer], Trial | Measure]


@contextmanager
def grading(case: Case, probe: str, settings: Settings) -> Iterator[Grade]:
    """The function that judges one answer of this probe; the budget is of one such block."""
    judge, spec = case.checks[probe].judge, spec_of(probe)
    if spec.task is not None:
        with open_task(spec.task, settings, case.suites[probe]) as task:
            yield partial(task.judge, probe)
        return
    if judge is None:
        judge_answer = probe_of(probe).default_judge
        yield lambda question, answer: replace(judge_answer(question, answer), probe=probe)
        return
    suite = suite_for(spec, settings.installed_suites)
    requests = {item.id: getattr(item, "prompt", "") for item in suite.items}
    with EndpointJudge(endpoint_of(judge, settings, os.environ)) as endpoint:

        def grade(question: Question, answer: Answer) -> Trial:
            judgement = endpoint.read(requests[question.item], answer.full_text)
            if judgement.label == "unscored" or judgement.score is None:
                trial = unscored(probe, question.item, question.cluster, judgement.reason)
            else:
                trial = scored(probe, question.item, question.cluster, judgement.score)
                why = incoherence(requests[question.item], answer.text)
                if why is not None and spec.reads_coherence:
                    trial = says_nothing(trial, why)
            return replace(trial, variant=question.variant, group=question.group)

        yield grade
