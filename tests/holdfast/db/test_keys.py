"""Keys: what they look like, what is stored of them, and the pepper beside the database."""

import hashlib
import hmac
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from holdfast.db import keys
from holdfast.db.keys import USED_EVERY, Caller, CreatedKey
from holdfast.db.session import reading, transaction
from holdfast.db.tables import ApiKey
from holdfast.errors import Conflict, InvalidSettings, NotFound, Unauthorized
from holdfast.scopes import SCOPES
from holdfast.settings import Settings
from tests.holdfast.db.rows import ago

PEPPER = b"pepper"


def test_a_key_names_its_caller(database: Engine) -> None:
    with transaction(database) as session:
        made = keys.create_key(session, PEPPER, "p", name="n", scopes=["jobs:read"])
        assert re.fullmatch(
            r"holdfast_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", made.token
        )
        caller = keys.find_caller(session, PEPPER, made.token)
        assert (caller.key_id, caller.project) == (made.row.id, "p")
        assert (caller.scopes, caller.use_noted) == (frozenset({"jobs:read"}), False)
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


# --- making and finding ---------------------------------------------------------------------


def create(database: Engine, project: str = "p", **how: Any) -> CreatedKey:
    with transaction(database) as session:
        fields = {"name": "n", "scopes": ["jobs:read"], **how}
        return keys.create_key(session, PEPPER, project, **fields)


def find(database: Engine, token: str) -> Caller:
    with reading(database) as session:
        return keys.find_caller(session, PEPPER, token)


def change(database: Engine, made: CreatedKey, **columns: Any) -> None:
    with transaction(database) as session:
        row = session.get_one(ApiKey, made.row.id)
        for name, value in columns.items():
            setattr(row, name, value)


def signed(handle: str, secret: str) -> str:
    """A token of these parts whose checksum is right."""
    body = f"holdfast_live_{handle}_{secret}"
    return f"{body}_{keys._checksum(body)}"


def test_of_the_secret_its_hmac_is_stored_and_of_the_token_its_handle(database: Engine) -> None:
    made = create(database)
    _, _, handle, secret, _ = made.token.split("_")
    expected = hmac.new(PEPPER, secret.encode(), hashlib.sha256).hexdigest()
    assert (made.row.handle, made.row.secret_hmac) == (handle, expected)


def test_a_key_of_an_earlier_release_is_still_one(database: Engine) -> None:
    """The form, the checksum and the hash are in keys that people keep for years."""
    handle, secret = "0123abcD", "Z" * 43
    token = f"holdfast_live_{handle}_{secret}_3nOpCu"
    change(
        database,
        create(database),
        handle=handle,
        secret_hmac="233d17bace828655c2a3162ab40888a4621c570948ca1133e70fdda85bf045ef",
    )
    assert find(database, token).project == "p"


def test_keys_are_drawn_from_all_digits_and_never_twice(database: Engine) -> None:
    tokens = [create(database).token.split("_") for _ in range(30)]
    for place in (2, 3):
        assert len({token[place] for token in tokens}) == 30
    assert set("".join(token[3] for token in tokens)) == set(keys.DIGITS)


def test_scopes_are_a_set_in_a_fixed_order(database: Engine) -> None:
    made = create(database, scopes=["jobs:write", "admin", "jobs:write"])
    assert made.row.scopes == ["admin", "jobs:write"]
    assert find(database, made.token).scopes == {"admin", "jobs:write"}
    assert find(database, create(database, scopes=SCOPES).token).scopes == set(SCOPES)
    assert find(database, create(database, scopes=[]).token).scopes == set()


def test_a_key_calls_for_its_project_alone(database: Engine) -> None:
    made = [create(database, project) for project in ("p", "q")]
    assert [find(database, key.token).project for key in made] == ["p", "q"]
    assert [find(database, key.token).key_id for key in made] == [key.row.id for key in made]


def test_a_secret_opens_its_own_handle_only(database: Engine) -> None:
    first, second = (create(database).token.split("_") for _ in range(2))
    for handle, secret in [(first[2], second[3]), (second[2], first[3]), ("00000000", first[3])]:
        with pytest.raises(Unauthorized):
            find(database, signed(handle, secret))
    assert find(database, signed(first[2], first[3])) == find(database, "_".join(first))


def test_a_refusal_does_not_say_what_was_wrong(database: Engine) -> None:
    made = create(database)
    handle, secret = made.token.split("_")[2:4]
    wrong = ["", "Bearer x", made.token[:-1], signed("00000000", secret), signed(handle, "0" * 43)]
    change(database, made, revoked_at=ago(1))
    messages = set()
    for token in (*wrong, made.token):
        with pytest.raises(Unauthorized) as refused:
            find(database, token)
        messages.add(str(refused.value))
    assert len(messages) == 1


@pytest.mark.parametrize("around", ["{}\n", " {}", "{} ", "{}_", "x{}", "{}\0", "{0}{0}"])
def test_a_token_is_taken_whole_or_not_at_all(database: Engine, around: str) -> None:
    made = create(database)
    with pytest.raises(Unauthorized):
        find(database, around.format(made.token))


# --- the end of a key -----------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "good"), [(-3600.0, True), (0.0, False), (3600.0, False)])
def test_a_key_ends_when_it_was_to_end(database: Engine, seconds: float, good: bool) -> None:
    made = create(database, expires_at=ago(seconds))
    change(database, made, created_at=ago(86_400))
    if good:
        assert find(database, made.token).key_id == made.row.id
    else:
        with pytest.raises(Unauthorized):
            find(database, made.token)


def test_a_key_without_an_end_lasts(database: Engine) -> None:
    made = create(database)
    change(database, made, created_at=ago(20 * 365 * 86_400))
    assert find(database, made.token).key_id == made.row.id


def test_a_revoked_key_is_refused_at_once_and_others_are_not(database: Engine) -> None:
    gone, stays = create(database), create(database)
    with transaction(database) as session:
        revoked = keys.revoke_key(session, "p", gone.row.id)
        assert revoked.revoked_at is not None
        with pytest.raises(Unauthorized):
            keys.find_caller(session, PEPPER, gone.token)
    assert find(database, stays.token).key_id == stays.row.id


def test_a_key_is_revoked_once_and_keeps_its_moment(database: Engine) -> None:
    made, moment = create(database), ago(60)
    change(database, made, revoked_at=moment)
    with (
        pytest.raises(Conflict, match=re.escape(f"revoked at {moment.isoformat()} already")),
        transaction(database) as session,
    ):
        keys.revoke_key(session, "p", made.row.id)
    with reading(database) as session:
        assert session.get_one(ApiKey, made.row.id).revoked_at == moment


def test_nobody_revokes_a_key_of_another_project(database: Engine) -> None:
    made = create(database)
    for project, key_id in [("q", made.row.id), ("p", "key_none")]:
        with pytest.raises(NotFound, match=f"no key {key_id} in"), transaction(database) as session:
            keys.revoke_key(session, project, key_id)
    assert find(database, made.token).key_id == made.row.id


def test_a_projects_keys_newest_first_the_revoked_ones_too(database: Engine) -> None:
    made = [create(database) for _ in range(3)]
    create(database, "q")
    change(database, made[1], revoked_at=ago(1))
    with reading(database) as session:
        listed = [row.id for row in keys.list_keys(session, "p")]
    assert listed == sorted((key.row.id for key in made), reverse=True)


# --- the last use ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "noted"),
    [
        (timedelta(0), True),
        (USED_EVERY - timedelta(minutes=1), True),
        (USED_EVERY + timedelta(minutes=1), False),
    ],
)
def test_a_use_is_noted_once_an_hour(database: Engine, since: timedelta, noted: bool) -> None:
    made = create(database)
    change(database, made, last_used_at=ago(since.total_seconds()))
    assert find(database, made.token).use_noted is noted


def test_a_key_that_was_never_used_says_so(database: Engine) -> None:
    made, other = create(database), create(database)
    assert made.row.last_used_at is None
    with transaction(database) as session:
        keys.note_use(session, made.row.id)
    assert find(database, made.token).use_noted
    assert not find(database, other.token).use_noted


# --- the pepper -----------------------------------------------------------------------------


def test_a_pepper_that_is_there_is_read_as_it_is_and_an_empty_one_refused(home: Path) -> None:
    settings = Settings(home=home, database_url="sqlite://", broker_url="")
    (home / "pepper").write_bytes(b"as it is\n")
    assert keys.read_pepper(settings) == b"as it is\n"
    (home / "pepper").write_bytes(b"")
    with pytest.raises(InvalidSettings, match="is empty; put the old"):
        keys.read_pepper(settings)
    assert [path.name for path in home.iterdir()] == ["pepper"]


def test_a_pepper_of_the_settings_makes_no_file(home: Path) -> None:
    settings = Settings(home=home / "new", database_url="sqlite://", broker_url="", key_pepper="ä")
    assert keys.read_pepper(settings) == "ä".encode()
    assert not (home / "new").exists()
