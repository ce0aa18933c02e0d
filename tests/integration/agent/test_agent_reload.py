"""A reload changes everything that the file says, or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from keeper_peer import RUN, KeeperPeer
from pillion.settings import from_json, parse, to_json

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = '[app]\nname = "shop"\ncommand = ["sleep", "60"]\nstop_timeout = "10s"\n'


@pytest.fixture
def file(keeper: KeeperPeer, tmp_path: Path) -> Path:
    """The settings file of an instance that runs with it."""
    path = tmp_path / "pillion.toml"
    path.write_text(BEFORE)
    keeper.write("settings.json", to_json(parse(BEFORE)))
    facts = {"name": "shop", "run": RUN, "settings_file": str(path), "overrides": ["app.port=3000"]}
    keeper.write("instance.json", json.dumps(facts))
    return path


def reload(keeper: KeeperPeer) -> tuple[int, dict[str, Any]]:
    with keeper.unix() as client, client.request("POST", "/v1/reload") as answer:
        body: dict[str, Any] = json.loads(answer.read())
        return answer.status, body


def test_what_is_applied_and_what_waits(keeper: KeeperPeer, file: Path) -> None:
    child = keeper.start()
    file.write_text(BEFORE.replace('"10s"', '"3s"') + 'workdir = "/srv"\n')
    status, body = reload(keeper)
    assert status == 200
    assert body["applied"] == [{"path": "app.stop_timeout", "old": 10.0, "new": 3.0}]
    (waiting,) = body["needs_restart"]
    assert waiting["component"] == "app"
    assert {one["path"] for one in waiting["settings"]} == {"app.port", "app.workdir"}
    written = from_json((keeper.runtime_dir / "settings.json").read_text())
    assert (written.app.stop_timeout_s, written.app.port) == (3.0, 3000)
    (params,) = child.calls("reload")
    assert params["plan"]["app"]["stop_timeout_s"] == 3.0


def test_one_problem_changes_nothing_and_all_are_told(keeper: KeeperPeer, file: Path) -> None:
    child = keeper.start()
    before = (keeper.runtime_dir / "settings.json").read_bytes()
    file.write_text('[app]\nstop_timeuot = "3s"\nstop_signal = "NOPE"\n')
    status, body = reload(keeper)
    assert (status, body["title"]) == (422, "Settings Refused")
    assert len(body["problems"]) == 2
    assert "did you mean" in body["problems"][0]
    assert (keeper.runtime_dir / "settings.json").read_bytes() == before
    assert child.calls("reload") == []
    refused = child.wait_for("event", lambda m: m["kind"] == "reload-refused")
    assert refused["data"]["problems"] == body["problems"]


def test_without_a_file_there_is_nothing_to_read(keeper: KeeperPeer) -> None:
    keeper.start()
    status, body = reload(keeper)
    assert status == 409
    assert "without a settings file" in body["detail"]


def test_credentials_are_not_told(keeper: KeeperPeer, file: Path) -> None:
    keeper.start()
    file.write_text(
        BEFORE + '[telemetry.headers]\nauthorization = "Bearer s3cret"\n[app.env]\nKEY = "s3cret"\n'
    )
    status, body = reload(keeper)
    assert status == 200
    assert "s3cret" not in json.dumps(body)
    paths = {one["path"] for need in body["needs_restart"] for one in need["settings"]}
    assert "app.env.KEY" in paths
