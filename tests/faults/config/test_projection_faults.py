"""Configuration in files when the disk is full, the app is another user, and agents come and go."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from instance import Host, Instance, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEP = "while :; do sleep 0.05; done"
COUNTS = f"trap 'echo again' HUP; echo up; {SLEEP}"


def ready(instance: Instance) -> Instance:
    instance.wait_state("agent")
    instance.wait_state("app")
    return instance


def put(host: Host, key: str, value: object) -> None:
    host.pillion("config", "set", key, json.dumps(value))


def reasons(instance: Instance, kind: str) -> list[str]:
    return [event["reason"] for event in instance.events() if event["kind"] == kind]


@pytest.fixture
def small_disk(host: Host) -> Iterator[Path]:
    """A disk of 64 KiB."""
    path = Path(host.root, "small")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_leaves_the_old_file_until_there_is_room(host: Host, small_disk: Path) -> None:
    path = small_disk / "prices.json"
    instance = ready(
        host.run(
            "sh",
            "-c",
            COUNTS,
            settings=f'[[config.files]]\npath = "{path}"\nkey = "prices"\nsignal = "HUP"\n',
        )
    )
    wait_for("the trap is set", lambda: b"up" in instance.spooled("stdout"))
    put(host, "prices", "x")
    wait_for("the first", lambda: instance.spooled("stdout").count(b"again") == 1)
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        room = os.statvfs(small_disk)
        file.write(b"x" * room.f_bavail * room.f_bsize)
    put(host, "prices", "y" * 20_000)
    wait_for(
        "it is told", lambda: any("No space left" in r for r in reasons(instance, "project-failed"))
    )
    assert path.read_text() == '"x"\n'
    filler.unlink()
    wait_for("the new one", lambda: len(path.read_text()) > 20_000)
    assert os.listdir(small_disk) == ["prices.json"]
    wait_for("both are told", lambda: instance.spooled("stdout").count(b"again") == 2)


def test_a_file_belongs_to_the_apps_user(host: Host) -> None:
    path = Path(host.root, "prices.toml")
    settings = f'[app]\nuser = "nobody"\n[[config.files]]\npath = "{path}"\nprefix = "shop"\n'
    ready(host.run("sh", "-c", SLEEP, settings=settings))
    put(host, "shop/price", 1)
    wait_for("the file", path.exists)
    nobody = pwd.getpwnam("nobody")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (
        nobody.pw_uid,
        nobody.pw_gid,
        0o600,
    )


def test_after_an_upgrade_one_agent_writes_and_not_two(host: Host) -> None:
    path = Path(host.root, "prices.json")
    settings = f'[[config.files]]\npath = "{path}"\nprefix = "shop"\nsignal = "HUP"\n[config.env]\nP = "shop/p"\n'
    instance = ready(host.run("sh", "-c", COUNTS, settings=settings))
    put(host, "shop/p", 1)
    wait_for("the first", lambda: instance.spooled("stdout").count(b"again") == 1)
    for n in (2, 3):
        host.pillion("upgrade", timeout=60)
        put(host, "shop/p", n)
        wait_for(f"signal {n}", lambda n=n: instance.spooled("stdout").count(b"again") == n)
    assert json.loads(path.read_text()) == {"p": 3}
    assert len(reasons(instance, "projected")) == 3


def test_a_command_that_hangs_does_not_outlive_the_instance(host: Host) -> None:
    path = Path(host.root, "prices.json")
    pid_file = Path(host.root, "pid")
    settings = (
        f'[[config.files]]\npath = "{path}"\nprefix = "shop"\n'
        f'command = ["sh", "-c", "echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 1000"]\n'
    )
    instance = ready(host.run("sh", "-c", SLEEP, settings=settings))
    put(host, "shop/p", 1)
    wait_for("the command", pid_file.exists)
    # It holds up nobody: what changes meanwhile is written when its turn comes, and the instance ends in time.
    instance.process.terminate()
    instance.wait()
    pid = pid_file.read_text().strip()
    wait_for("the command has gone", lambda: not os.path.exists(f"/proc/{pid}"))
