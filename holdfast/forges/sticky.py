"""One comment a pull request and gate, updated in place, and the gate's word on the commit.

Two runs at once both find none and both write one. So whoever wrote lists again: all keep the
oldest, put their text there, and remove the others. Only comments of this very author count, since
anybody can write the mark into theirs.
"""

from collections.abc import Mapping
from typing import Protocol

from holdfast.errors import ForgeRefused
from holdfast.forges import github, gitlab
from holdfast.forges.comment import marker_of
from holdfast.forges.facts import Facts, ForgeName
from holdfast.forges.rest import Comment, Conclusion, Forge, connect


class Api(Protocol):
    """The routes that are used of a forge; a module has them as its functions."""

    def own_login(self, forge: Forge, /) -> str: ...
    def comments(self, forge: Forge, facts: Facts, /) -> list[Comment]: ...
    def create(self, forge: Forge, facts: Facts, body: str, /) -> None: ...
    def update(self, forge: Forge, facts: Facts, comment: int, body: str, /) -> None: ...
    def delete(self, forge: Forge, facts: Facts, comment: int, /) -> None: ...
    def pull_request_of(self, forge: Forge, facts: Facts, /) -> int | None: ...
    def conclude(self, forge: Forge, facts: Facts, end: Conclusion, /) -> None: ...


APIS: Mapping[ForgeName, Api] = {"github": github, "gitlab": gitlab}
TOKENS: Mapping[ForgeName, tuple[str, ...]] = {
    "github": ("GITHUB_TOKEN", "GH_TOKEN"),
    "gitlab": ("GITLAB_TOKEN", "CI_JOB_TOKEN"),
}
GONE = 404


def open_forge(facts: Facts, environment: Mapping[str, str]) -> Forge:
    """The API with the token of the environment; ForgeRefused where there is none."""
    names = TOKENS[facts.forge]
    token = next((environment[name] for name in names if environment.get(name)), None)
    if token is None:
        raise ForgeRefused(f"found no token, expected one in {' or '.join(names)}")
    if facts.forge == "gitlab":
        return connect(facts.api, {"PRIVATE-TOKEN": token})
    version = {"X-GitHub-Api-Version": "2022-11-28", "Accept": "application/vnd.github+json"}
    return connect(facts.api, {"Authorization": f"Bearer {token}", **version})


def post_comment(forge: Forge, facts: Facts, gate: str, body: str) -> None:
    """Leave exactly one comment of this gate, with this text, on the pull request."""
    api = APIS[facts.forge]
    author = api.own_login(forge)
    before = _ours(forge, facts, gate, author)
    if not before or not _updated(forge, facts, before[0], body):
        api.create(forge, facts, body)
    oldest, *others = _ours(forge, facts, gate, author)
    for other in others:
        _deleted(forge, facts, other)
    if others and oldest.body.strip() != body.strip():
        _updated(forge, facts, oldest, body)


def _ours(forge: Forge, facts: Facts, gate: str, author: str) -> list[Comment]:
    """The comments with this gate's mark that this author wrote, oldest first."""
    mark = marker_of(gate)
    ours = [
        comment
        for comment in APIS[facts.forge].comments(forge, facts)
        if comment.author == author and comment.body.lstrip().startswith(mark)
    ]
    return sorted(ours, key=lambda comment: comment.id)


def _updated(forge: Forge, facts: Facts, comment: Comment, body: str) -> bool:
    """Whether it was still there to be updated."""
    try:
        APIS[facts.forge].update(forge, facts, comment.id, body)
    except ForgeRefused as error:
        if error.reply != GONE:
            raise
        return False
    return True


def _deleted(forge: Forge, facts: Facts, comment: Comment) -> None:
    try:
        APIS[facts.forge].delete(forge, facts, comment.id)
    except ForgeRefused as error:
        if error.reply != GONE:  # whoever wrote at the same time has removed it too
            raise
