"""The facts that a CI run has of its cause: repository, commit, branch, pull request, its own page.

Read from the variables that GitHub's and GitLab's runners set, and from GitHub's event file. They
say what ran, never who may do what: anybody can set a variable, so nothing is allowed by them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ForgeName = Literal["github", "gitlab"]
MAX_EVENT_BYTES = 25 << 20  # GitHub's own limit of an event


@dataclass(frozen=True, slots=True)
class Facts:
    """One CI run: `commit` is the head of the pull request where there is one, not a merge of it.

    `api` is the root of the forge's REST API, `workflow` the file that the run is written in, from
    the repository's root. `head` is the branch as GitHub looks a pull request up by: OWNER:BRANCH.
    """

    forge: ForgeName
    api: str
    repository: str
    commit: str
    branch: str | None = None
    pull_request: int | None = None
    run_url: str | None = None
    workflow: str | None = None
    head: str | None = None


def facts_of(environment: Mapping[str, str]) -> Facts | None:
    """The facts of this run; None where no CI that is known set them."""
    if environment.get("GITHUB_ACTIONS") == "true" and environment.get("GITHUB_REPOSITORY"):
        return _of_github(environment)
    if environment.get("GITLAB_CI") == "true" and environment.get("CI_PROJECT_ID"):
        return _of_gitlab(environment)
    return None


def _of_github(environment: Mapping[str, str]) -> Facts:
    event = _event(environment.get("GITHUB_EVENT_PATH"))
    pull = _part(event, "pull_request")
    run = _part(event, "workflow_run")  # of the run that this one was started by, from a fork
    repository = environment["GITHUB_REPOSITORY"]
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    head = _part(pull, "head")
    owner = _part(_part(run, "head_repository"), "owner").get("login")
    branch = head.get("ref") or run.get("head_branch") or environment.get("GITHUB_REF_NAME")
    return Facts(
        forge="github",
        api=environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"),
        repository=repository,
        commit=head.get("sha") or run.get("head_sha") or environment.get("GITHUB_SHA", ""),
        branch=branch,
        pull_request=_number(pull.get("number")),
        run_url=f"{server}/{repository}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}",
        workflow=_workflow(environment.get("GITHUB_WORKFLOW_REF", ""), repository),
        head=f"{owner}:{branch}" if owner and branch else None,
    )


def _of_gitlab(environment: Mapping[str, str]) -> Facts:
    commit = environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA")  # set for merged results alone
    branch = environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")
    return Facts(
        forge="gitlab",
        api=environment.get("CI_API_V4_URL", "https://gitlab.com/api/v4").rstrip("/"),
        repository=environment["CI_PROJECT_ID"],
        commit=commit or environment.get("CI_COMMIT_SHA", ""),
        branch=branch or environment.get("CI_COMMIT_REF_NAME"),
        pull_request=_number(environment.get("CI_MERGE_REQUEST_IID")),
        run_url=environment.get("CI_JOB_URL"),
        workflow=(environment.get("CI_CONFIG_PATH") or ".gitlab-ci.yml").partition("@")[0],
    )


def _event(path: str | None) -> dict[str, Any]:
    """GitHub's event; empty where its file is not there or is none."""
    try:
        with Path(path or "").open("rb") as file:
            event = json.loads(file.read(MAX_EVENT_BYTES))
    except (OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


def _part(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


def _workflow(reference: str, repository: str) -> str | None:
    """`OWNER/NAME/.github/workflows/gate.yml@refs/heads/main` without what is around the path."""
    path = reference.partition("@")[0].removeprefix(f"{repository}/")
    return path or None
