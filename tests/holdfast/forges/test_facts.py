"""The facts of a CI run, from what GitHub's and GitLab's runners set."""

import json
from pathlib import Path

from holdfast.forges.facts import facts_of

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_SHA": "merge0",
    "GITHUB_REF_NAME": "main",
    "GITHUB_RUN_ID": "42",
    "GITHUB_WORKFLOW_REF": "o/r/.github/workflows/gate.yml@refs/heads/main",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_ID": "7",
    "CI_COMMIT_SHA": "abc",
    "CI_COMMIT_REF_NAME": "main",
    "CI_JOB_URL": "https://gitlab.example/o/r/-/jobs/1",
}


def event(folder: Path, document: object) -> dict[str, str]:
    file = folder / "event.json"
    file.write_text(json.dumps(document))
    return {**GITHUB, "GITHUB_EVENT_PATH": str(file)}


def test_where_no_ci_is_known_there_are_none() -> None:
    assert facts_of({}) is None
    assert facts_of({"GITHUB_ACTIONS": "false", "GITHUB_REPOSITORY": "o/r"}) is None
    assert facts_of({"CI": "true"}) is None


def test_a_push_has_its_own_commit_and_no_pull_request() -> None:
    facts = facts_of(GITHUB)
    assert facts is not None
    assert (facts.commit, facts.branch, facts.pull_request) == ("merge0", "main", None)
    assert facts.run_url == "https://github.com/o/r/actions/runs/42"
    assert facts.workflow == ".github/workflows/gate.yml"
    assert facts.api == "https://api.github.com"


def test_a_pull_request_is_its_head_and_not_the_merge_that_was_built(tmp_path: Path) -> None:
    pull = {"number": 5, "head": {"sha": "head0", "ref": "topic"}}
    facts = facts_of(event(tmp_path, {"pull_request": pull}))
    assert facts is not None
    assert (facts.commit, facts.branch, facts.pull_request) == ("head0", "topic", 5)


def test_a_run_that_another_run_started_is_about_that_ones_commit(tmp_path: Path) -> None:
    """A fork's: GitHub names no pull request there, so it is looked up by the fork's branch."""
    fork = {"owner": {"login": "guest"}}
    run = {"head_sha": "head1", "head_branch": "topic", "head_repository": fork}
    facts = facts_of(event(tmp_path, {"workflow_run": run}))
    assert facts is not None
    assert (facts.commit, facts.pull_request, facts.head) == ("head1", None, "guest:topic")


def test_an_event_that_is_none_leaves_what_the_variables_say(tmp_path: Path) -> None:
    for content in ("", "[]", "{", '{"pull_request": 3}'):
        (tmp_path / "event.json").write_text(content)
        facts = facts_of({**GITHUB, "GITHUB_EVENT_PATH": str(tmp_path / "event.json")})
        assert facts is not None
        assert facts.commit == "merge0"
    gone = facts_of({**GITHUB, "GITHUB_EVENT_PATH": str(tmp_path / "none.json")})
    assert gone is not None
    assert gone.pull_request is None


def test_an_enterprise_server_is_asked_at_its_own_root() -> None:
    own = {
        "GITHUB_API_URL": "https://git.example/api/v3/",
        "GITHUB_SERVER_URL": "https://git.example",
    }
    facts = facts_of({**GITHUB, **own})
    assert facts is not None
    assert facts.api == "https://git.example/api/v3"
    assert facts.run_url == "https://git.example/o/r/actions/runs/42"


def test_gitlab_names_a_merge_request_and_its_source() -> None:
    merge = {
        "CI_MERGE_REQUEST_IID": "9",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "head2",
        "CI_API_V4_URL": "https://gitlab.example/api/v4",
        "CI_CONFIG_PATH": "ci/gate.yml@group/project",
    }
    facts = facts_of({**GITLAB, **merge})
    assert facts is not None
    assert (facts.commit, facts.branch, facts.pull_request) == ("head2", "topic", 9)
    assert (facts.api, facts.workflow) == ("https://gitlab.example/api/v4", "ci/gate.yml")
    plain = facts_of(GITLAB)
    assert plain is not None
    assert (plain.commit, plain.pull_request, plain.workflow) == ("abc", None, ".gitlab-ci.yml")
