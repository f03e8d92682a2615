"""The demands of a project on an evaluation beside its policy, as of when it was submitted."""

from collections.abc import Collection

from pydantic import BaseModel

from holdfast.policy.model import GatePolicy, Waiver
from holdfast.verdict.outcome import FROZEN

UNPINNED = "nobody but the submitter is known to stand behind that text"


def is_unwaivable(check: str, rules: Collection[str]) -> bool:
    """Whether one of the rules is about this check: by its name, or by its probe's.

    `cap.knowledge` covers `cap.knowledge@mmlu` as well, and `cap.lm_eval` every task of it.
    """
    probe = check.partition("@")[0].partition(":")[0]
    return check in rules or probe in rules


class Terms(BaseModel):
    """Which of the submitter's choices keep this evaluation from passing, and what to say of it."""

    model_config = FROZEN
    obstacles: tuple[str, ...] = ()
    """Sentences on choices that the project does not allow, such as another baseline."""
    remarks: tuple[str, ...] = ()
    """Sentences for the verdict's warnings, such as who set the policy."""
    text_waivers: bool = True
    """Whether waivers in the policy's text count: not where they may be the submitter's own."""

    given: tuple[Waiver, ...] = ()
    """Waivers that were given apart from the policy's text."""
    unwaivable: tuple[str, ...] = ()
    """Checks that nobody can waive, wherever the waiver stands."""

    def waivers(self, policy: GatePolicy) -> tuple[Waiver, ...]:
        """The waivers that count: those given, and those of the policy's text where they may."""
        found = (*(policy.waivers if self.text_waivers else ()), *self.given)
        return tuple(waiver for waiver in found if not is_unwaivable(waiver.check, self.unwaivable))

    def warnings(self, policy: GatePolicy) -> tuple[str, ...]:
        """The remarks, and which waivers of the policy's text do not count."""
        unpinned = () if self.text_waivers else policy.waivers
        return (
            *self.remarks,
            *(
                f"the waiver of {w.check} in the policy's text does not count: {UNPINNED}"
                for w in unpinned
            ),
            *(
                f"a waiver of {w.check} does not count: the project waives it for nobody"
                for w in (*policy.waivers, *self.given)
                if is_unwaivable(w.check, self.unwaivable)
            ),
        )


AS_SUBMITTED = Terms()
"""Of a project that demands nothing, and of files that are judged without a project."""
