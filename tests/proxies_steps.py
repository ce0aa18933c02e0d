"""The steps of applying, each in a child that is killed before its n-th call of the operating system.

A process of its own, since a fork of pytest's copies what pytest holds: hundreds of them took a minute. It reads requests, one in JSON
a line, and answers each with `true` when the child was killed, and `false` when it came to its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from pillion.proxies.files.candidate import write_candidate
from pillion.proxies.files.history import History
from pillion.proxies.files.moving import finish, move, recover, take_back
from pillion.proxies.files.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

MAIN = "nginx.conf"
ONE = {MAIN: "one", "gone.conf": "only in one", "same.conf": "1"}
TWO = {MAIN: "two", "new.conf": "only in two", "same.conf": "2"}


def site_in(root: str) -> Site:
    """The site whose files are below `root`."""
    return Site("edge", f"{root}/edge/conf", f"{root}/edge/state")


def apply_two(root: str) -> None:
    site = site_in(root)
    move(site, write_candidate(site, MAIN, TWO, ["gone.conf"]), "two", "one", 1.0)
    finish(site)


def fail_with_two(root: str) -> None:
    site = site_in(root)
    move(site, write_candidate(site, MAIN, TWO, ["gone.conf"]), "two", "one", 1.0)
    take_back(site)


def recover_it(root: str) -> None:
    recover(site_in(root))


def record_two(root: str) -> None:
    History(f"{root}/history", 2).record("two", "a key", "applied", TWO, at_s=3.0)


WORKS = {work.__name__: work for work in (apply_two, fail_with_two, recover_it, record_two)}


class Steps:
    """The process that forks."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=10)

    def killed_before(self, number: int, work: Callable[[str], None], root: str) -> bool:
        """Whether `work` was killed before its `number`-th call; it is run to its end when it makes fewer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"number": number, "work": work.__name__, "root": root}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return bool(json.loads(self._process.stdout.readline()))


def _killed_before(number: int, work: Callable[[str], None], root: str) -> bool:
    child = os.fork()
    if child == 0:
        _run(number, work, root)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    # What fails by itself has proved nothing.
    assert os.WEXITSTATUS(status) == 0
    return False


def _run(number: int, work: Callable[[str], None], root: str) -> None:
    left = number

    def count(_frame: FrameType, event: str, function: Any) -> None:
        nonlocal left
        if event != "c_call":
            return
        of = getattr(function, "__self__", None)
        if getattr(of, "__name__", "") != "posix" and type(of).__name__ != "FileIO":
            return
        left -= 1
        if left == 0:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        sys.setprofile(count)
        work(root)
        sys.setprofile(None)
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """Serve until nobody asks any more."""
    for line in sys.stdin.buffer:
        wanted = json.loads(line)
        killed = _killed_before(wanted["number"], WORKS[wanted["work"]], wanted["root"])
        sys.stdout.write(f"{json.dumps(killed)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
