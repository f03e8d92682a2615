"""The JSON columns of an evaluation that are read by part: its account, and its race.

Stored as what was set and no more, so that a row reads the same in every version that wrote it.
"""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, Dialect, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB

from holdfast.evidence.manifest import Cut
from holdfast.policy.budget import Spent

Document = JSON().with_variant(JSONB(), "postgresql")
_Model = TypeVar("_Model", bound=BaseModel)


class Account(BaseModel):
    """The cost of an evaluation so far, by all workers that had it."""

    model_config = ConfigDict(frozen=True)
    prompts: int = 0
    """Questions asked of any checkpoint; what the cache answered is not counted."""
    tokens: int = 0
    """Tokens that were generated."""
    seconds: float = 0.0
    """Seconds of the engine."""
    device: str | None = None
    """The device's name, once there is a verdict."""
    cut: dict[str, dict[str, Cut]] = {}
    """Trials that were not asked for, and why, by side and probe."""

    @property
    def spent(self) -> Spent:
        """The part of it that a budget limits."""
        return Spent(self.prompts, self.tokens, self.seconds)

    def changed(self, **fields: Any) -> "Account":
        """The account with these fields in place of its own."""
        return self.model_copy(update=fields)


class Race(BaseModel):
    """The decisive probes of a ladder's try, which are asked first, and how it fared in them."""

    model_config = ConfigDict(frozen=True)
    items: int
    """Clusters of each probe that are asked before the first look."""
    probes: tuple[str, ...]
    """The decisive probes."""
    dropped: dict[str, str] = {}
    """The checks that it cannot pass any more, by id, and why; empty while it is in the race."""
    early: bool = False
    """Whether it was dropped at the first look, after `items` clusters."""


class ModelColumn(TypeDecorator[_Model], Generic[_Model]):
    """A frozen pydantic model as a JSON document."""

    impl = JSON
    cache_ok = True

    def __init__(self, model: type[_Model]) -> None:
        """A column of this model's documents."""
        super().__init__()
        self.model = model

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """JSONB on PostgreSQL, JSON elsewhere, as other documents."""
        return dialect.type_descriptor(JSONB() if dialect.name == "postgresql" else JSON())

    def process_bind_param(self, value: _Model | None, _dialect: Dialect) -> dict[str, Any] | None:
        """Store the fields that were set."""
        return None if value is None else value.model_dump(mode="json", exclude_unset=True)

    def process_result_value(self, value: Any, _dialect: Dialect) -> _Model | None:
        """Read it back; a document of another shape is a ValidationError."""
        return None if value is None else self.model.model_validate(value)
