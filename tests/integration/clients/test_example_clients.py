"""The example clients under a real `pillion run`: each language's own program says the same, step by step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from instance import Host

CLIENTS = Path(__file__).parents[3] / "examples" / "clients"
EXPECTED = """\
read: nothing there
write: 1
write: 2
write: somebody was faster, again
write: 3
read: 3
write: 4
watch: 4
register: printer
resolve: 127.0.0.1:9100 passing
unregister: printer
heartbeat: taken
log: 2
"""
# Compilers and virtual machines start slowly on a busy host.
BOUND_S = 90.0


def program(name: str, places: tuple[str, ...] = ()) -> str | None:
    return shutil.which(name) or next((p for p in places if os.access(p, os.X_OK)), None)


GO = program("go", ("/usr/local/go/bin/go", "/usr/lib/go/bin/go"))
JAVA = program("java")
JAVAC = program("javac")


def run(host: Host, *command: str, **env: str) -> None:
    instance = host.run(
        *command,
        name="clients",
        settings='[app]\nwatchdog = { timeout = "60s" }\n',
        cwd=str(CLIENTS),
        env=env,
    )
    out, err = instance.output(BOUND_S)
    assert (out.decode(), err.decode()) == (EXPECTED, "")
    assert instance.wait() == 0
    # What it posted is where its output is, as records of their own.
    assert instance.spooled("api") == b"INFO one line\nWARN another\n"
    records = host.pillion("logs", "--instance", "clients", "--stream", "api", "--json").stdout
    assert [json.loads(line)["level"] for line in records.splitlines()] == ["info", "warn"]


def built(directory: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_shell(host: Host) -> None:
    run(host, "sh", "client.sh")


def test_shell_by_the_unix_socket(host: Host) -> None:
    # Without a token that anybody would take.
    run(
        host,
        "env",
        "PILLION_TOKEN=none",
        "PILLION_URL=none",
        "sh",
        "client.sh",
        PILLION_CLIENT="socket",
    )


def test_node(host: Host) -> None:
    run(host, "node", "client.mjs")


def test_python(host: Host) -> None:
    run(host, "python3", "-I", "client.py")


def test_perl(host: Host) -> None:
    run(host, "perl", "client.pl")


def test_c(host: Host, tmp_path: Path) -> None:
    source = str(CLIENTS / "client.c")
    built(tmp_path, "cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", "client", source)
    run(host, str(tmp_path / "client"))


@pytest.mark.skipif(JAVA is None or JAVAC is None, reason="no Java toolchain here")
def test_java(host: Host, tmp_path: Path) -> None:
    assert JAVA is not None
    assert JAVAC is not None
    built(tmp_path, JAVAC, "-Xlint:all", "-Werror", "-d", ".", str(CLIENTS / "Client.java"))
    run(host, JAVA, "-cp", str(tmp_path), "Client")


@pytest.mark.skipif(GO is None, reason="no Go toolchain here")
def test_go(host: Host, tmp_path: Path) -> None:
    assert GO is not None
    built(tmp_path, GO, "build", "-o", str(tmp_path / "client"), str(CLIENTS / "client.go"))
    run(host, str(tmp_path / "client"))


def test_the_readme_shows_what_they_say() -> None:
    text = (CLIENTS / "README.md").read_text()
    shown = "".join(line[4:] + "\n" for line in text.splitlines() if line.startswith("    "))
    assert shown == EXPECTED
    named = {path.name for path in CLIENTS.iterdir()} - {"README.md"}
    assert {name for name in named if f"({name})" not in text} == set()
