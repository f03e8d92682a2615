"""Idempotency keys: who may write the reply, who gets it, and when a key is free again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from holdfast.db import replies
from holdfast.db.jobs import now
from holdfast.db.replies import IN_FLIGHT, LIFETIME, Claim, Reply
from holdfast.db.session import reading, transaction
from holdfast.db.tables import IdempotentReply
from holdfast.errors import Conflict, IdempotencyMismatch, InFlight

MADE = Reply(202, {"Location": "/v1/evaluations/eval_1"}, '{"id": "eval_1"}')
SECOND = timedelta(seconds=1)


def claim_key(
    database: Engine, key: str = "k", fingerprint: str = "f", *, project: str = "p"
) -> Claim | Reply:
    with transaction(database) as session:
        return replies.claim_key(session, project, key, fingerprint)


def claimed(database: Engine, key: str = "k", fingerprint: str = "f") -> Claim:
    claim = claim_key(database, key, fingerprint)
    assert isinstance(claim, Claim)
    return claim


def keep(database: Engine, claim: Claim, reply: Reply = MADE) -> None:
    with transaction(database) as session:
        replies.keep_reply(session, claim, reply)


def drop(database: Engine, claim: Claim) -> None:
    with transaction(database) as session:
        replies.drop_claim(session, claim)


def age(database: Engine, by: timedelta) -> None:
    with transaction(database) as session:
        session.execute(update(IdempotentReply).values(created_at=now(session) - by))


def keys(database: Engine) -> list[str]:
    with reading(database) as session:
        return sorted(session.scalars(select(IdempotentReply.key)))


# --- the same request -----------------------------------------------------------------------


def test_the_first_request_claims_and_its_twin_gets_its_reply(database: Engine) -> None:
    keep(database, claimed(database))
    assert claim_key(database) == MADE
    assert claim_key(database) == MADE


def test_a_twin_that_comes_meanwhile_is_told_to_wait(database: Engine) -> None:
    claimed(database)
    with pytest.raises(InFlight, match="is still at work") as refused:
        claim_key(database)
    assert refused.value.retry_after == 4


def test_of_many_at_once_one_gets_the_claim(database: Engine) -> None:
    def attempt(_: int) -> bool:
        try:
            return isinstance(claim_key(database), Claim)
        except InFlight:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1


def test_no_two_claims_are_alike(database: Engine) -> None:
    tokens = {claimed(database, key).token for key in "abc"}
    assert {len(token) for token in tokens} == {32}
    assert len(tokens) == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(201, {}, ""),
        Reply(422, {"Retry-After": "1", "X-Ü": "ü"}, "{}"),
        Reply(200, {}, "€" * 5000),
    ],
    ids=["empty", "headers", "long"],
)
def test_a_reply_comes_back_as_it_was(database: Engine, reply: Reply) -> None:
    keep(database, claimed(database), reply)
    assert claim_key(database) == reply


# --- another request ------------------------------------------------------------------------


def test_another_request_under_a_used_key_is_refused(database: Engine) -> None:
    keep(database, claimed(database))
    with pytest.raises(IdempotencyMismatch, match="use a new key"):
        claim_key(database, fingerprint="other")
    assert claim_key(database) == MADE


def test_another_request_is_a_mismatch_before_the_first_has_ended(database: Engine) -> None:
    claimed(database)
    with pytest.raises(IdempotencyMismatch):
        claim_key(database, fingerprint="other")


def test_keys_and_projects_do_not_meet(database: Engine) -> None:
    keep(database, claimed(database))
    assert isinstance(claim_key(database, "other"), Claim)
    assert isinstance(claim_key(database, project="q", fingerprint="theirs"), Claim)
    assert claim_key(database) == MADE


# --- requests that fail, die or are slow ----------------------------------------------------


def test_a_failed_request_frees_its_key(database: Engine) -> None:
    drop(database, claimed(database))
    assert keys(database) == []
    assert isinstance(claim_key(database, fingerprint="mended"), Claim)


def test_nobody_drops_anothers_claim_or_a_reply(database: Engine) -> None:
    claim = claimed(database)
    for stranger in ({"token": "0" * 32}, {"project": "q"}, {"key": "other"}):
        drop(database, replace(claim, **stranger))
    keep(database, claim)
    drop(database, claim)
    assert claim_key(database) == MADE


def test_a_reply_is_written_once_and_by_its_claim(database: Engine) -> None:
    claim = claimed(database)
    with pytest.raises(Conflict, match="this one changed nothing"):
        keep(database, replace(claim, token="0" * 32))
    keep(database, claim)
    with pytest.raises(Conflict):
        keep(database, claim, Reply(500, {}, "late"))
    assert claim_key(database) == MADE


def test_a_claim_outlives_a_slow_request_and_no_dead_one(database: Engine) -> None:
    first = claimed(database)
    age(database, IN_FLIGHT - 20 * SECOND)
    with pytest.raises(InFlight):
        claim_key(database)
    age(database, IN_FLIGHT + SECOND)
    assert claimed(database).token != first.token
    with pytest.raises(InFlight):
        claim_key(database)  # the new claim is young


def test_a_dead_requests_key_may_be_taken_by_any_request(database: Engine) -> None:
    claimed(database)
    age(database, IN_FLIGHT + SECOND)
    other = claimed(database, fingerprint="other")
    keep(database, other)
    assert claim_key(database, fingerprint="other") == MADE


def test_a_request_that_was_overtaken_rolls_its_effect_back(database: Engine) -> None:
    slow = claimed(database)
    age(database, IN_FLIGHT + SECOND)
    fast = claimed(database)

    def end_late() -> None:
        with transaction(database) as session:
            replies.claim_key(session, "p", "its effect", "f")
            replies.keep_reply(session, slow, Reply(500, {}, "slow"))

    with pytest.raises(Conflict):
        end_late()
    drop(database, slow)
    keep(database, fast)
    assert keys(database) == ["k"]
    assert claim_key(database) == MADE


# --- a day later ----------------------------------------------------------------------------


def test_a_stored_reply_does_not_end_with_the_time_of_a_claim(database: Engine) -> None:
    keep(database, claimed(database))
    age(database, LIFETIME - 60 * SECOND)
    assert claim_key(database) == MADE


def test_after_a_day_a_key_is_new_and_nothing_of_the_old_reply_is_left(database: Engine) -> None:
    keep(database, claimed(database))
    age(database, LIFETIME + SECOND)
    claimed(database, fingerprint="other")
    with reading(database) as session:
        row = session.scalars(select(IdempotentReply)).one()
    assert (row.fingerprint, row.status, row.headers, row.body) == ("other", None, {}, None)
    with pytest.raises(InFlight):
        claim_key(database, fingerprint="other")


def test_only_what_is_older_than_a_day_is_forgotten(database: Engine) -> None:
    keep(database, claimed(database, "old"))
    claimed(database, "dead")
    age(database, LIFETIME + SECOND)
    keep(database, claimed(database, "young"))
    with transaction(database) as session:
        replies.forget_old(session)
    assert keys(database) == ["young"]
