"""The demands of a project on an evaluation beside its policy, as of when it was submitted."""

from pydantic import BaseModel

from holdfast.policy.model import GatePolicy, Waiver
from holdfast.verdict.outcome import FROZEN


class Terms(BaseModel):
    """Which of the submitter's choices keep this evaluation from passing, and what to say of it."""

    model_config = FROZEN
    obstacles: tuple[str, ...] = ()
    """Sentences on choices that the project does not allow, such as another baseline."""
    remarks: tuple[str, ...] = ()
    """Sentences for the verdict's warnings, such as who set the policy."""
    text_waivers: bool = True
    """Whether waivers in the policy's text count: not where the submitter brought the text."""

    given: tuple[Waiver, ...] = ()
    """Waivers that were given apart from the policy's text."""

    def waivers(self, policy: GatePolicy) -> tuple[Waiver, ...]:
        """The waivers that count: those given, and those of the policy's text where they may."""
        return (*(policy.waivers if self.text_waivers else ()), *self.given)

    def warnings(self, policy: GatePolicy) -> tuple[str, ...]:
        """The remarks, and which waivers of the policy's text do not count."""
        ignored = () if self.text_waivers else policy.waivers
        return (
            *self.remarks,
            *(
                f"the waiver of {waiver.check} in the policy's text does not count: the project "
                "has not pinned this policy"
                for waiver in ignored
            ),
        )


AS_SUBMITTED = Terms()
"""Of a project that demands nothing, and of files that are judged without a project."""
