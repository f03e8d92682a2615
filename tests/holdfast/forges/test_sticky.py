"""One comment a pull request and gate, at a stand-in of either forge, whatever goes wrong there."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from holdfast.errors import ForgeRefused
from holdfast.forges import rest
from holdfast.forges.comment import marker_of
from holdfast.forges.facts import Facts, ForgeName
from holdfast.forges.rest import Conclusion, Forge, State
from holdfast.forges.sticky import APIS, open_forge, post_comment
from holdfast.retries import Backoff
from tests.support.forge_server import ForgeState, forge_server

ENVIRONMENT = {"GITHUB_TOKEN": "t0", "GITLAB_TOKEN": "t1"}
MARK = marker_of("g")
BODY = f"{MARK}\nnew"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "BACKOFF", Backoff(tries=4, first_pause=0.01, longest_pause=0.05))


@pytest.fixture
def state() -> Iterator[ForgeState]:
    with forge_server() as started:
        yield started


@pytest.fixture(params=["github", "gitlab"])
def facts(request: pytest.FixtureRequest, state: ForgeState) -> Facts:
    name: ForgeName = request.param
    repository = "o/r" if name == "github" else "7"
    return Facts(name, state.url, repository, "c0ffee", pull_request=5)


@pytest.fixture
def forge(facts: Facts) -> Iterator[Forge]:
    opened = open_forge(facts, ENVIRONMENT)
    with opened.client:
        yield opened


def texts(state: ForgeState) -> list[str]:
    return [comment["body"] for comment in state.comments]


def test_the_first_run_writes_a_comment_and_the_next_one_updates_it(
    state: ForgeState, facts: Facts, forge: Forge
) -> None:
    post_comment(forge, facts, "g", f"{MARK}\nold")
    post_comment(forge, facts, "g", BODY)
    assert texts(state) == [BODY]
    assert set(state.tokens) == {"Bearer t0" if facts.forge == "github" else "t1"}


def test_a_comment_of_somebody_else_is_never_touched_whatever_it_begins_with(
    state: ForgeState, facts: Facts, forge: Forge
) -> None:
    state.write("mallory", f"{MARK}\nPASS")
    post_comment(forge, facts, "g", BODY)
    assert texts(state) == [f"{MARK}\nPASS", BODY]


def test_another_gates_comment_stays(state: ForgeState, facts: Facts, forge: Forge) -> None:
    state.write(state.login, f"{marker_of('other')}\nx")
    state.write(state.login, f"quoted: {MARK}")
    post_comment(forge, facts, "g", BODY)
    assert len(state.comments) == 3


def test_ours_is_found_behind_more_comments_than_a_page_has(
    state: ForgeState, facts: Facts, forge: Forge
) -> None:
    for number in range(230):
        state.write("people", f"comment {number}")
    state.write(state.login, f"{MARK}\nold")
    post_comment(forge, facts, "g", BODY)
    assert len(state.comments) == 231
    assert texts(state)[-1] == BODY


def test_two_runs_at_once_end_in_one_comment(state: ForgeState, facts: Facts) -> None:
    state.both_looked = threading.Barrier(2)

    def run(text: str) -> None:
        opened = open_forge(facts, ENVIRONMENT)
        with opened.client:
            post_comment(opened, facts, "g", f"{MARK}\n{text}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, ("one", "two")))
    assert len(state.comments) == 1
    assert state.comments[0]["id"] == 100, "the oldest is kept"


def test_a_comment_that_is_deleted_meanwhile_is_written_anew(
    state: ForgeState, facts: Facts, forge: Forge
) -> None:
    state.write(state.login, f"{MARK}\nold")
    state.vanishing = True
    post_comment(forge, facts, "g", BODY)
    assert texts(state) == [BODY]


@pytest.mark.parametrize(
    "failure",
    [(502, {}), (429, {"retry-after": "0"}), (403, {"x-ratelimit-remaining": "0"})],
    ids=["in trouble", "too many", "rate limit"],
)
def test_what_may_pass_is_tried_again(
    state: ForgeState, facts: Facts, forge: Forge, failure: tuple[int, dict[str, str]]
) -> None:
    state.failures = [failure, failure]
    post_comment(forge, facts, "g", BODY)
    assert texts(state) == [BODY]


def test_what_is_refused_is_said_in_a_sentence(
    state: ForgeState, facts: Facts, forge: Forge
) -> None:
    state.refused["POST /comments"] = state.refused["POST /notes"] = 403
    with pytest.raises(ForgeRefused, match=r"403, the token may not") as refused:
        post_comment(forge, facts, "g", BODY)
    assert refused.value.reply == 403
    with pytest.raises(ForgeRefused, match="found no token"):
        open_forge(facts, {})


@pytest.mark.parametrize("end", ["pass", "fail", "inconclusive", "not run", "pending"])
def test_only_a_pass_is_green_on_the_commit(
    state: ForgeState, facts: Facts, forge: Forge, end: State
) -> None:
    APIS[facts.forge].conclude(forge, facts, Conclusion("g", end, "why", "https://run.example"))
    if facts.forge == "gitlab":
        (status,) = state.statuses
        expected = {"pass": "success", "pending": "pending"}.get(end, "failed")
        assert (status["state"], status["sha"], status["name"]) == (expected, "c0ffee", "g")
        return
    (check,) = state.checks
    green = {"pass": "success", "inconclusive": "action_required", "pending": None}
    assert check.get("conclusion") == green.get(end, "failure")
    assert (check["status"] == "in_progress") == (end == "pending")
    assert check["head_sha"] == "c0ffee"


def test_a_persons_token_gets_a_status_where_check_runs_are_refused(state: ForgeState) -> None:
    facts = Facts("github", state.url, "o/r", "c0ffee")
    state.refused["POST /check-runs"] = 403
    opened = open_forge(facts, ENVIRONMENT)
    with opened.client:
        for end in ("pass", "fail", "inconclusive", "not run", "pending"):
            APIS["github"].conclude(opened, facts, Conclusion("g", end, "w" * 500, None))
    assert [one["state"] for one in state.statuses] == [
        "success",
        "failure",
        "error",
        "error",
        "pending",
    ]
    assert all(len(one["description"]) <= 140 for one in state.statuses)


def test_the_pull_request_of_a_commit_is_the_open_one_with_that_head(
    state: ForgeState, facts: Facts, forge: Forge
) -> None:
    named = replace(facts, pull_request=None, head="guest:topic")
    assert APIS[facts.forge].pull_request_of(forge, named) is None
    for number, commit in ((3, "older"), (4, "c0ffee")):
        state.pulls.append(
            {
                "number": number,
                "iid": number,
                "head": {"sha": commit},
                "sha": commit,
                "state": "opened",
            }
        )
    assert APIS[facts.forge].pull_request_of(forge, named) == 4
    if facts.forge == "github":
        branch = "guest:a&state=closed#b c"
        APIS["github"].pull_request_of(forge, replace(named, head=branch))
        query = parse_qs(urlsplit(state.requests[-1][1]).query)
        assert (query["head"], query["state"]) == ([branch], ["open"])
