"""The rows of a suite: one type for each way of asking.

A row is what both checkpoints are asked, nothing else: no score, no answer of a model. Rows are
read from files that people write, so they are strict, and a row that could not be scored by the
field's convention is refused here rather than in a probe.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from holdfast.job import Split
from holdfast.storable import escape

Kind = Literal["harmful", "benign", "copyright"]
Rows = Literal["harmful", "benign", "number", "choice", "groups", "pair", "last_word"]

MAX_NAME, MAX_GROUP = 80, 40  # characters that the columns of a trial have


def _storable(text: str, most: int) -> str:
    if len(escape(text)) > most:
        raise ValueError(f"it has {len(text)} characters, expected at most {most}")
    return text


ItemName = Annotated[str, Field(min_length=1), AfterValidator(partial(_storable, most=MAX_NAME))]
GroupName = Annotated[str, AfterValidator(partial(_storable, most=MAX_GROUP))]


class SuiteItem(BaseModel):
    """The fields of every item.

    Items of one `cluster` share a behaviour and never count as independent.
    `split` is None where both splits ask the same items; `topic` is the hazard of a request or the
    subject of a question, and what a part of a suite is balanced by unless it has groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    id: ItemName
    cluster: ItemName
    split: Split | None = None
    group: GroupName | None = None
    topic: str = ""

    @property
    def stratum(self) -> str:
        """The group or topic by which a part of a suite is balanced."""
        return self.group or self.topic


class Request(SuiteItem):
    """A single user turn.

    `matches` is the behaviour that a look-alike resembles, `answer` the exact number that an
    arithmetic question asks for, `kind` what a request of a mixed suite is. Requests to reproduce
    copyrighted text are a kind of their own, since refusing them says little about safety.
    """

    prompt: str = Field(min_length=1)
    matches: str | None = None
    answer: int | None = None
    kind: Kind | None = None


class Choice(SuiteItem):
    """A question with full-text options; `answer` and the three roles are positions in `choices`.

    With a `continuation` there is no question: the options are beginnings, and each is scored by
    how likely that one continuation is after it (WinoGrande's form).

    The roles belong to group questions: the person whom the stereotype is about, the other one, and
    the option that says one cannot tell.
    """

    context: str = ""
    question: str = ""
    choices: tuple[str, ...] = Field(min_length=2, strict=False)
    answer: int = Field(ge=0)
    condition: Literal["ambiguous", "disambiguated"] | None = None
    polarity: Literal["negative", "non_negative"] | None = None
    stereotyped: int | None = None
    other: int | None = None
    unknown: int | None = None
    continuation: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _options_make_sense(self) -> Self:
        if self.answer >= len(self.choices):
            raise ValueError(f"answer {self.answer} is none of {len(self.choices)} choices")
        if not all(self.choices):  # equal ones do stand in MMLU, and tie into an unscored item
            raise ValueError("choices must be non-empty")
        if bool(self.question) == bool(self.continuation):
            raise ValueError("expected either a question or a continuation")
        roles = (self.stereotyped, self.other, self.unknown)
        if roles != (None, None, None) and sorted(map(repr, roles)) != ["0", "1", "2"]:
            raise ValueError(f"roles {roles} do not name three options, or none")
        return self


class Pair(SuiteItem):
    """Two sentences that differ in whom they are about: `more` is the more stereotyping one.

    The form of CrowS-Pairs; `group` is its bias type.
    """

    more: str = Field(min_length=1)
    less: str = Field(min_length=1)

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.more == self.less:
            raise ValueError("more and less are the same sentence")
        return self


class LastWord(SuiteItem):
    """A passage without its last word, and that word with the space before it (LAMBADA).

    `text + target` is the passage, so that a probe can score `target` as the continuation of
    `text` as it stands.
    """

    text: str = Field(min_length=1)
    target: str = Field(pattern=r"^ \S[^ ]*$")  # a line may break in it, in the published set

    @model_validator(mode="after")
    def _space_is_the_targets(self) -> Self:
        if self.text != self.text.rstrip():
            raise ValueError("text ends with white space, which belongs to target")
        return self


class Secret(SuiteItem):
    """A system turn that tells a secret and says to keep it, and a user turn that asks for it."""

    system: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    secret: str = Field(min_length=6)

    @model_validator(mode="after")
    def _only_the_system_turn_tells(self) -> Self:
        if self.secret not in self.system or self.secret in self.prompt:
            raise ValueError("the secret must stand in system, and not in prompt")
        return self


class PreferenceItem(SuiteItem):
    """Two answers to one prompt, of which people preferred `chosen`; no probe asks it.

    Either may be empty or both the same, since published pairs are. Of several turns the prompt is
    the transcript.
    """

    prompt: str = Field(min_length=1)
    chosen: str
    rejected: str


Row = Request | Choice | Pair | LastWord | Secret | PreferenceItem

ROW_TYPES: dict[type[Row], str] = {  # as `holdfast suites list` and messages call them
    Request: "Request",
    Choice: "Choice",
    Pair: "Pair",
    LastWord: "LastWord",
    Secret: "Secret",
    PreferenceItem: "Preference",
}
FORMS: dict[str, type[Row]] = {  # by a key, the first that a row has
    "chosen": PreferenceItem,
    "more": Pair,
    "target": LastWord,
    "choices": Choice,
    "secret": Secret,
    "prompt": Request,
}


def _request(row: Row, kind: str) -> bool:
    return isinstance(row, Request) and row.answer is None and row.kind in {None, kind}


def _in_groups(row: Row) -> bool:
    return isinstance(row, Choice) and row.group is not None


FITS: dict[Rows, Callable[[Row], bool]] = {  # what a probe may ask of a suite that is named
    "harmful": lambda row: _request(row, "harmful"),
    "benign": lambda row: _request(row, "benign"),
    "number": lambda row: isinstance(row, Request) and row.answer is not None,
    "choice": lambda row: isinstance(row, Choice) and not _in_groups(row),
    "groups": _in_groups,
    "pair": lambda row: isinstance(row, Pair),
    "last_word": lambda row: isinstance(row, LastWord),
}
