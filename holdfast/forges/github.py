"""GitHub: comments on a pull request, and the check run or commit status of a commit.

https://docs.github.com/rest. An installation's token (as GITHUB_TOKEN is) may not ask `GET /user`
who it is, a GraphQL query it may; a person's token may not make check runs, a status it may.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from holdfast.errors import ForgeRefused
from holdfast.forges.facts import Facts
from holdfast.forges.rest import Comment, Conclusion, Forge, State

CONCLUSIONS: dict[State, str] = {  # never neutral or skipped, which satisfy a required check
    "pass": "success",
    "fail": "failure",
    "inconclusive": "action_required",
    "not run": "failure",
}
STATUSES: dict[State, str] = {
    "pass": "success",
    "fail": "failure",
    "inconclusive": "error",
    "not run": "error",
    "pending": "pending",
}
LONGEST_STATUS = 140
NO_CHECK_RUNS = frozenset({403, 404, 422})


def own_login(forge: Forge) -> str:
    """The name that this token's comments are written under."""
    beside = replace(forge, api=forge.api.removesuffix("/v3"))  # of an enterprise server
    answer = beside.ask("POST", "/graphql", {"query": "query { viewer { login } }"})
    return str(answer["data"]["viewer"]["login"])


def comments(forge: Forge, facts: Facts) -> list[Comment]:
    """All comments of the pull request; those of users that are gone have no author."""
    path = f"/repos/{facts.repository}/issues/{facts.pull_request}/comments"
    return [
        Comment(entry["id"], entry.get("body") or "", (entry.get("user") or {}).get("login", ""))
        for entry in forge.all(path)
    ]


def create(forge: Forge, facts: Facts, body: str) -> None:
    """Write a comment."""
    path = f"/repos/{facts.repository}/issues/{facts.pull_request}/comments"
    forge.ask("POST", path, {"body": body})


def update(forge: Forge, facts: Facts, comment: int, body: str) -> None:
    """Put another text in place of a comment's."""
    forge.ask("PATCH", f"/repos/{facts.repository}/issues/comments/{comment}", {"body": body})


def delete(forge: Forge, facts: Facts, comment: int) -> None:
    """Remove a comment."""
    forge.ask("DELETE", f"/repos/{facts.repository}/issues/comments/{comment}")


def conclude(forge: Forge, facts: Facts, end: Conclusion) -> None:
    """Say on the commit how the gate ended: a check run, or a status where those are refused."""
    check: dict[str, Any] = {
        "name": end.gate,
        "head_sha": facts.commit,
        "status": "in_progress" if end.state == "pending" else "completed",
        "output": {"title": end.title[:LONGEST_STATUS], "summary": end.title},
        **({"details_url": end.link} if end.link else {}),
        **({} if end.state == "pending" else {"conclusion": CONCLUSIONS[end.state]}),
    }
    try:
        forge.ask("POST", f"/repos/{facts.repository}/check-runs", check)
    except ForgeRefused as error:
        if error.reply not in NO_CHECK_RUNS:
            raise
        status = {
            "state": STATUSES[end.state],
            "context": end.gate,
            "description": end.title[:LONGEST_STATUS],
            **({"target_url": end.link} if end.link else {}),
        }
        forge.ask("POST", f"/repos/{facts.repository}/statuses/{facts.commit}", status)


def pull_request_of(forge: Forge, facts: Facts) -> int | None:
    """The open pull request whose head is this very commit, by the branch that it comes from."""
    if facts.head is None:
        return None
    head = quote(facts.head, safe="")  # whoever names a branch must not ask for more
    path = f"/repos/{facts.repository}/pulls?state=open&head={head}"
    numbers = (
        int(pull["number"]) for pull in forge.all(path) if pull["head"]["sha"] == facts.commit
    )
    return next(numbers, None)
