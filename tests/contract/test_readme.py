"""The README's tour is run, command by command, in one shell, so that it cannot rot.

A `console` block holds commands (after `$ `) and what they print, shortened. A command must end with 0, unless the next one
asks for its code; every word shown must be in what it really prints. Numbers, and what ends a line with `…`, are not compared.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Host

ROOT = Path(__file__).parents[2]
TOUR = "/tmp/pillion-tour"
BOUND_S = 40.0
CODE = "echo $?"
# What only looks may be asked again until it shows what is expected: the tour's reader is slower than a test.
LOOKS = re.compile(
    r"pillion (status|events|logs|components|resolve|health|requests|breakers|proxy (list|status|history))\b"
    r"|curl (?!.*-X POST)|ps |kill -9 \$\(pgrep"
)
# By which means limits hold depends on the host.
BY_MEANS = re.compile(r"limits by .*|\(by [^)]*\)")
# Whole words: neither pieces of ids and times, nor what is cut off at `…`.
WORD = re.compile(r"(?<![\w…])[A-Za-z]{3,}(?![\w…])")


class Step(NamedTuple):
    """A command, and the words that it shows."""

    command: str
    words: frozenset[str]
    shown: str


def steps() -> list[Step]:
    """Return the tour, in order."""
    text = (ROOT / "README.md").read_text()
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            words = frozenset(WORD.findall(BY_MEANS.sub("", shown)))
            found.append(Step(command, words, shown.strip()))
    return found


# Asked again, it would be there twice.
_BEHIND = re.compile(r"&( \w+=\$!)?$")


class Shell:
    """A bash whose commands come one by one."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=env,
            start_new_session=True,
        )
        self._count = 0
        self._read = b""
        self.transcript = ""

    def run(self, command: str, words: frozenset[str]) -> tuple[int, str]:
        """Return exit code and output; what runs in the background has until the bound to say its words."""
        assert self._process.stdin is not None
        self._count += 1
        mark = f"--- {self._count} "
        # The code is what the next command finds in $?.
        line = f"{{ {command}\n}} </dev/null\nc=$?; echo; echo '{mark}'$c; (exit $c)\n"
        self._read = b""
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        found = None
        deadline = time.monotonic() + BOUND_S
        while time.monotonic() < deadline:
            self._take(0.05)
            output = self._read.decode(errors="replace")
            found = found or re.search(rf"^{mark}(\d+)$", output, re.MULTILINE)
            if found and not (_BEHIND.search(command) and _missing(words, output)):
                break
        output = self._read.decode(errors="replace")
        self.transcript += f"$ {command}\n{output}"
        assert found, f"not within {BOUND_S:g} s: $ {command}\n{self.transcript}"
        return int(found[1]), output

    def _take(self, wait_s: float) -> None:
        assert self._process.stdout is not None
        number = self._process.stdout.fileno()
        if select.select([number], [], [], wait_s)[0]:
            self._read += os.read(number, 1 << 16)

    def close(self) -> None:
        """End the shell and whatever it has in the background."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(BOUND_S)
        # The apps have sessions of their own; the keepers, when told to, stop them in order.
        try:
            os.killpg(self._process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        else:
            deadline = time.monotonic() + BOUND_S
            while time.monotonic() < deadline and _group_lives(self._process.pid):
                time.sleep(0.05)
        self._process.stdout.close()


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _missing(words: frozenset[str], output: str) -> set[str]:
    return {word for word in words if word not in output}


@pytest.fixture
def shell(host: Host) -> Iterator[Shell]:
    """A shell in the checkout that finds this test's directories."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    env = host.env(PATH=path, BILLING_URL="http://127.0.0.1:1", **_ports())
    # What a reader's shell does not have must not help.
    env.pop("PYTHONUNBUFFERED", None)
    made = Shell(env)
    yield made
    made.close()


def _ports() -> dict[str, str]:
    """Return a free port for each service of the tour."""
    names = ("PORT", "SITE_PORT", "SECOND_PORT", "EDGE_PORT", "FRONT_PORT")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return dict(zip(names, ports, strict=True))


@pytest.mark.timeout(240)
def test_the_tour_is_true(host: Host, shell: Shell) -> None:
    tour = steps()
    assert len(tour) > 25
    here = {
        "/run/pillion/": f"{host.runtime}/",
        TOUR: f"{host.root}/pillion-tour",
        ":3001/": ":$PORT/",
        "app.port=3001": "app.port=$PORT",
        "PORT=3002": "PORT=$SECOND_PORT",
        "app.port=3002": "app.port=$SECOND_PORT",
        ":8080": ":$EDGE_PORT",
        ":8081": ":$FRONT_PORT",
        "app.port=8001": "app.port=$SITE_PORT",
        "http.server 8001": "http.server $SITE_PORT",
        # The checkout and this test's directories may be closed to all but their owner.
        "--set offload.root=": f"--set offload.user={os.geteuid()} --set offload.root=",
        ". .venv/bin/activate": "true",
        # In single quotes, where the shell would not look.
        " 8000 ": " '$SITE_PORT' ",
    }
    for index, step in enumerate(tour):
        command = step.command
        for theirs, ours in here.items():
            command = command.replace(theirs, ours)
        may_fail = index + 1 < len(tour) and tour[index + 1].command == CODE
        deadline = time.monotonic() + BOUND_S
        while True:
            code, output = shell.run(command, step.words)
            missing = _missing(step.words, output)
            wrong = missing or (code != 0 and not may_fail)
            if not wrong or not LOOKS.match(command) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert not missing, f"$ {step.command}\nshould show {sorted(missing)}:\n{shell.transcript}"
        assert may_fail or code == 0, f"$ {step.command}\nended with {code}:\n{shell.transcript}"
        if step.command == CODE:
            assert output.split()[0] == step.shown


@pytest.mark.parametrize(
    "link", sorted(set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())))
)
def test_what_it_links_to_is_there(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_programs_of_the_tour_are_here() -> None:
    for program, package in (
        ("curl", "curl"),
        ("ps", "procps"),
        ("pgrep", "procps"),
        ("bash", "bash"),
    ):
        assert shutil.which(program), (
            f"{program} is missing; apt-get install -y --no-install-recommends {package}"
        )
