"""What is not the project's is refused by where it lies, and not by what is in it."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.service.test_projects import put_rules
from tests.support.folders import write_checkpoint

FOREIGN_REPAIR = f"rem_{'0' * 32}"
SECRET = "sk-this-is-in-a-file-of-theirs"
PLACES = {
    "roots": "outside the roots of project demo",
    "repair": "is no repair of project demo",
}


def foreign_folder(app: FastAPI, models: Path, where: str) -> Path:
    """A checkpoint that the project may not read, with a config whose error would quote it."""
    parent = models / "theirs" if where == "roots" else app.state.settings.repairs
    folder = write_checkpoint(parent / FOREIGN_REPAIR, value=3.0)
    (folder / "config.json").write_text(f'{{"model_type": "{SECRET}"}}')
    return folder


@pytest.mark.parametrize("where", PLACES)
def test_a_foreign_folder_is_refused_before_it_is_read(
    app: FastAPI, api: TestClient, body: dict[str, Any], models: Path, where: str
) -> None:
    folder = foreign_folder(app, models, where)
    put_rules(api, roots=[str(models / "ours")])
    own = write_checkpoint(models / "ours" / "mine")
    for reply in (
        api.post("/v1/checkpoints", json={"uri": str(folder)}),
        api.post("/v1/checkpoints", json={"uri": str(own), "adapter": str(folder)}),
        api.post("/v1/evaluations", json=body | {"candidate": str(folder)}),
    ):
        assert (reply.status_code, SECRET in reply.text) == (422, False), reply.text
        assert PLACES[where] in reply.json()["detail"]


@pytest.mark.parametrize("where", PLACES)
def test_what_a_link_leads_to_is_not_told_of_either(
    app: FastAPI, api: TestClient, models: Path, where: str
) -> None:
    folder = foreign_folder(app, models, where)
    put_rules(api, roots=[str(models / "ours")])
    own = write_checkpoint(models / "ours" / "mine")
    (own / "config.json").unlink()
    (own / "config.json").symlink_to(folder / "config.json")
    reply = api.post("/v1/checkpoints", json={"uri": str(own)})
    assert (reply.status_code, SECRET in reply.text) == (422, False), reply.text
    assert PLACES[where] in reply.json()["detail"]


@pytest.mark.parametrize("where", PLACES)
def test_a_foreign_task_file_is_refused_before_it_is_read(
    app: FastAPI, api: TestClient, body: dict[str, Any], models: Path, where: str
) -> None:
    file = foreign_folder(app, models, where) / "task.jsonl"
    file.write_text(f'{{"{SECRET}": 1}}\n')
    put_rules(api, roots=[str(models)] if where == "repair" else [str(models / "ours")])
    reply = api.post("/v1/evaluations", json=body | {"task_data": str(file)})
    assert (reply.status_code, SECRET in reply.text) == (422, False), reply.text
    assert PLACES[where] in reply.json()["detail"]


def test_whether_something_is_there_is_not_told_outside_the_roots(
    api: TestClient, body: dict[str, Any]
) -> None:
    for present, absent in (("/etc", "/no-such"), ("/etc/passwd", "/etc/no-such")):
        for ask in (
            lambda path: api.post("/v1/checkpoints", json={"uri": path}),
            lambda path: api.post("/v1/evaluations", json=body | {"task_data": path}),
        ):
            said = [ask(path).json()["detail"].replace(path, "") for path in (present, absent)]
            assert said[0] == said[1]
            assert "does not exist or lies outside the allowed roots" in said[0]
