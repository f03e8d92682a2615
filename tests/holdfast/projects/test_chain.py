"""The audit chain as anybody can check it, without a database."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.errors import AuditBroken
from holdfast.projects.audit import sign_head
from holdfast.projects.chain import GENESIS, Head, digest_of, verify, verify_head, verify_signature

Events = list[dict[str, Any]]


@pytest.fixture
def events() -> Events:
    """Five acts of the project `p`."""
    previous, made = GENESIS, []
    for seq in range(1, 6):
        event = {"project": "p", "seq": seq, "action": "a", "target": str(seq)}
        event |= {"before": None, "after": {"n": seq}, "previous": previous}
        previous = digest_of(event)
        made.append({**event, "digest": previous})
    return made


def test_an_untouched_trail_leads_to_its_head(events: Events) -> None:
    assert verify("p", events) == Head("p", 5, events[-1]["digest"])
    assert verify("p", []) == Head("p", 0, GENESIS)


@pytest.mark.parametrize("field", ["action", "target", "after", "before", "digest", "previous"])
def test_a_changed_field_is_found_where_it_is(events: Events, field: str) -> None:
    events[2][field] = {"n": 99} if field in {"after", "before"} else "x"
    with pytest.raises(AuditBroken, match="event 3"):
        verify("p", events)


def test_a_row_that_was_changed_with_its_digest_breaks_the_next(events: Events) -> None:
    events[2]["target"] = "x"
    events[2]["digest"] = digest_of(events[2])
    with pytest.raises(AuditBroken, match="event 4 does not follow"):
        verify("p", events)


def test_a_field_that_was_added_is_found(events: Events) -> None:
    events[0]["note"] = "harmless"
    with pytest.raises(AuditBroken, match="event 1 is not what was written"):
        verify("p", events)


def test_a_removed_or_moved_row_is_found(events: Events) -> None:
    with pytest.raises(AuditBroken, match="event 2 is missing"):
        verify("p", events[:1] + events[2:])
    with pytest.raises(AuditBroken, match="event 4 is missing or out of place: 5"):
        verify("p", [*events[:3], events[4], events[3]])


def test_another_projects_event_is_no_part_of_it(events: Events) -> None:
    with pytest.raises(AuditBroken, match="of the project 'p'"):
        verify("q", events)


def test_a_cut_tail_is_found_beside_a_head_that_was_kept(events: Events) -> None:
    kept = verify("p", events)
    short = events[:3]
    with pytest.raises(AuditBroken, match="ends at event 3, but had 5"):
        verify_head(verify("p", short), kept, short)
    verify_head(kept, verify("p", short), events)


def test_a_trail_that_was_written_anew_is_not_the_one_that_was_kept(events: Events) -> None:
    kept = verify("p", events)
    for event, previous in zip(events, [None, *events], strict=False):
        event["target"] = "other"
        event["previous"] = previous["digest"] if previous else GENESIS
        event["digest"] = digest_of(event)
    with pytest.raises(AuditBroken, match="event 5 is another"):
        verify_head(verify("p", events), kept, events)


def test_a_head_is_signed_by_the_server_and_by_nobody_else(events: Events) -> None:
    signed = sign_head(verify("p", events), Ed25519PrivateKey.generate())
    verify_signature(signed.head, signed.signature, signed.public_key)
    other = sign_head(signed.head, Ed25519PrivateKey.generate())
    for head, signature in (
        (Head("p", 4, signed.head.digest), signed.signature),
        (signed.head, other.signature),
        (signed.head, "no base64"),
    ):
        with pytest.raises(AuditBroken, match="not signed by"):
            verify_signature(head, signature, signed.public_key)
