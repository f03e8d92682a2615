"""Keys: what they look like, what is stored of them, and the pepper beside the database."""

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from holdfast.db import keys
from holdfast.db.session import transaction
from holdfast.errors import Unauthorized
from holdfast.settings import Settings

PEPPER = b"pepper"


def test_a_key_names_its_caller(database: Engine) -> None:
    with transaction(database) as session:
        made = keys.create_key(session, PEPPER, "p", name="n", scopes=["jobs:read"])
        assert re.fullmatch(
            r"holdfast_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", made.token
        )
        caller = keys.find_caller(session, PEPPER, made.token)
        assert (caller.key_id, caller.project) == (made.row.id, "p")
        assert (caller.scopes, caller.use_noted) == ({"jobs:read"}, False)
        keys.note_use(session, caller.key_id)
        assert keys.find_caller(session, PEPPER, made.token).use_noted
        with pytest.raises(Unauthorized):
            keys.find_caller(session, b"another pepper", made.token)


def test_every_changed_character_is_refused(database: Engine) -> None:
    with transaction(database) as session:
        token = keys.create_key(session, PEPPER, "p", name="n", scopes=["admin"]).token
        for place in range(len(token)):
            other = "a" if token[place] != "a" else "b"
            with pytest.raises(Unauthorized):
                keys.find_caller(session, PEPPER, token[:place] + other + token[place + 1 :])


@given(st.text())
def test_no_text_breaks_the_pattern(text: str) -> None:
    assert keys.KEY.fullmatch(text) is None


def test_the_pepper_is_made_once_for_this_user_alone(home: Path) -> None:
    settings = Settings(home=home / "new", database_url="sqlite://", broker_url="")
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(keys.read_pepper, [settings] * 8))
    assert len(made) == 1
    assert len(made.pop()) == 64
    assert stat.S_IMODE((home / "new" / "pepper").stat().st_mode) == 0o600
    assert [path.name for path in (home / "new").iterdir()] == ["pepper"]
    given_one = settings.model_copy(update={"key_pepper": "mine"})
    assert keys.read_pepper(given_one) == b"mine"
