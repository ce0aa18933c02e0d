"""Programs written for systemd, each with an existing implementation of sd_notify, run unchanged: ready, told, fed, hung, restarted."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from instance import alive, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from instance import Host, Instance

PROGRAMS = os.path.join(os.path.dirname(__file__), "programs")
SETTINGS = """
[app]
ready = { notify = true }
watchdog = { timeout = "2s" }
restart = { policy = "on-failure", initial = "10ms" }
stop_timeout = "3s"
"""
LANGUAGES = ("python", "node", "c", "shell")


def command(language: str, directory: Path) -> list[str]:
    """How the service in that language is started; C is compiled first."""
    if language == "python":
        return ["/usr/bin/python3", f"{PROGRAMS}/service.py"]
    if language == "node":
        found = os.path.exists(f"{PROGRAMS}/node_modules/sd-notify/build")
        assert found, "cannot find sd-notify: scripts/setup installs it"
        return ["node", f"{PROGRAMS}/service.js"]
    if language == "shell":
        return ["sh", f"{PROGRAMS}/service.sh"]
    program = f"{directory}/service"
    subprocess.run(
        ["cc", "-Wall", "-Werror", "-o", program, f"{PROGRAMS}/service.c", "-lsystemd"], check=True
    )
    return [program]


def watchdog(instance: Instance) -> dict[str, float]:
    facts: dict[str, float] = instance.call("status")["result"]["app"]["watchdog"]
    return facts


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_service_written_for_systemd_works_unchanged(
    host: Host, tmp_path: Path, language: str
) -> None:
    broken = f"{tmp_path}/broken"
    instance = host.run(*command(language, tmp_path), broken, settings=SETTINGS)
    before = instance.wait_state("app")
    assert watchdog(instance)["timeout_s"] == 2.0
    wait_for(
        "its status is shown",
        lambda: "app says: serving" in host.pillion("status", "--instance", "app").stdout,
    )
    wait_for("it is fed", lambda: watchdog(instance)["beats"] >= 5)
    assert instance.component("app")["pid"] == before["pid"]
    with open(broken, "w"):
        pass
    wait_for("it hangs", lambda: "hung" in instance.kinds("app"))
    os.unlink(broken)
    wait_for(
        "another is ready",
        lambda: (app := instance.component("app")).get("ready") and app["pid"] != before["pid"],
    )
    assert not alive(before["pid"])
    hung = next(e for e in instance.events() if e["kind"] == "hung")
    assert hung["reason"] == "no heartbeat for 2 s"
    with open(hung["data"]["report"]) as file:
        assert f"process {before['pid']} (" in file.read()
    exited = next(e for e in instance.events() if e["kind"] == "exited" and e["component"] == "app")
    assert exited["data"]["signal"] == "ABRT"
    assert exited["data"]["cause"] == "hung: no heartbeat for 2 s"
    if language == "python":
        # SIGABRT made it say itself where it was.
        assert b"in stuck_in_a_loop" in instance.spooled("stderr")


def test_the_main_pid_that_a_shell_names_is_known(host: Host, tmp_path: Path) -> None:
    instance = host.run(*command("shell", tmp_path), f"{tmp_path}/broken", settings=SETTINGS)
    app = instance.wait_state("app")
    assert instance.call("status")["result"]["app"]["main_pid"] == app["pid"]
    assert instance.component("keeper")["stats"]["notify_foreign_total"] == 0
