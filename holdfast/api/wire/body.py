"""The base of every body: strict requests, lenient replies, pages, problems, field types."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Entry = TypeVar("Entry")


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a NUL or half a surrogate pair, which is no text in a database")
    return text


def refuse_unstorable(value: Any) -> None:
    """Raise ValueError if a text, at any depth of lists and objects, cannot be stored."""
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, dict):
        refuse_unstorable(list(value.values()))
    elif isinstance(value, list | tuple):
        for entry in value:
            refuse_unstorable(entry)


Plain = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Plain, Field(min_length=1, max_length=200)]
Location = Annotated[Plain, Field(min_length=1, max_length=4096)]
CheckpointId = Annotated[str, Field(pattern=r"^ckpt_[0-9a-f]{32}$")]
EvaluationId = Annotated[str, Field(pattern=r"^eval_[0-9a-f]{32}$")]
ALIAS = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Alias = Annotated[str, Field(pattern=ALIAS)]


class RequestBody(BaseModel):
    """Root of bodies that are sent to the service."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReplyBody(BaseModel):
    """Root of bodies that come back."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Page(ReplyBody, Generic[Entry]):
    """One page of a list; `next_cursor` asks for the next, and is null on the last."""

    data: tuple[Entry, ...]
    next_cursor: str | None
    has_more: bool


class Problem(ReplyBody):
    """RFC 9457: every error reply, as application/problem+json. `title` is the error's class."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str
    errors: tuple[str, ...] = ()
