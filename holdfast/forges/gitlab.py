"""GitLab: notes on a merge request, and the status of a commit.

https://docs.gitlab.com/api/notes, https://docs.gitlab.com/api/commits. A job's own token may do
neither, so one with the scope `api` has to be given.
"""

from holdfast.forges.facts import Facts
from holdfast.forges.rest import Comment, Conclusion, Forge, State

STATES: dict[State, str] = {
    "pass": "success",
    "fail": "failed",
    "inconclusive": "failed",  # it knows none that asks for a person, and open is never green
    "not run": "failed",
    "pending": "pending",
}
LONGEST_DESCRIPTION = 255


def own_login(forge: Forge) -> str:
    """The user name that this token's notes are written under."""
    return str(forge.ask("GET", "/user")["username"])


def comments(forge: Forge, facts: Facts) -> list[Comment]:
    """All notes of the merge request that people and bots wrote."""
    return [
        Comment(note["id"], note["body"], note["author"]["username"])
        for note in forge.all(f"{_notes(facts)}?sort=asc&order_by=created_at")
        if not note.get("system")
    ]


def create(forge: Forge, facts: Facts, body: str) -> None:
    """Write a note."""
    forge.ask("POST", _notes(facts), {"body": body})


def update(forge: Forge, facts: Facts, comment: int, body: str) -> None:
    """Put another text in place of a note's."""
    forge.ask("PUT", f"{_notes(facts)}/{comment}", {"body": body})


def delete(forge: Forge, facts: Facts, comment: int) -> None:
    """Remove a note."""
    forge.ask("DELETE", f"{_notes(facts)}/{comment}")


def conclude(forge: Forge, facts: Facts, end: Conclusion) -> None:
    """Say on the commit how the gate ended."""
    status = {
        "state": STATES[end.state],
        "name": end.gate,
        "description": end.title[:LONGEST_DESCRIPTION],
        **({"target_url": end.link} if end.link else {}),
    }
    forge.ask("POST", f"/projects/{facts.repository}/statuses/{facts.commit}", status)


def pull_request_of(forge: Forge, facts: Facts) -> int | None:
    """The open merge request whose head is this very commit."""
    path = f"/projects/{facts.repository}/repository/commits/{facts.commit}/merge_requests"
    open_ones = (
        int(merge["iid"])
        for merge in forge.all(path)
        if merge["state"] == "opened" and merge["sha"] == facts.commit
    )
    return next(open_ones, None)


def _notes(facts: Facts) -> str:
    return f"/projects/{facts.repository}/merge_requests/{facts.pull_request}/notes"
