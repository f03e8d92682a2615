"""A database of both kinds with a checkpoint and a policy, and a data folder without ages."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from holdfast.settings import Settings
from tests.holdfast.db.rows import add_checkpoint, add_policy


@pytest.fixture
def filled(database: Engine) -> Engine:
    """Holds the checkpoint `c` and the policy `pol` of the project `p`."""
    add_checkpoint(database, "c")
    add_policy(database, "pol")
    return database


@pytest.fixture
def place(home: Path, database_url: str) -> Settings:
    """The data folder; nothing is ever pruned in it unless an age is set."""
    return Settings(home=home, database_url=database_url, broker_url="redis://nowhere")
