"""NGINX, as its manager sees it: checked by `nginx -t`, loaded by SIGHUP, and believed when a worker names the version.

A HUP has no answer, and a configuration that passes the check may still fail to load (a zone with another key, an address that is taken). nginx
then writes `[emerg]` to its error log and goes on with the old one (https://nginx.org/en/docs/control.html). For the nginx that the keeper runs a further
`error_log … emerg` on its command line, and `-e` until it has read that, lead to a file in the runtime directory, `words`, which is emptied before each load.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from typing import TYPE_CHECKING

from pillion.base.command import run_command
from pillion.errors import PillionError
from pillion.keeper.places import proxy_path
from pillion.proxies.driver import GOOD, OUTPUT_BYTES, Level, ProxyStatus, Verdict
from pillion.proxies.nginx.leftovers import clear_leftovers
from pillion.proxies.nginx.messages import Message, error_logs, messages, places
from pillion.proxies.nginx.whereabouts import located
from pillion.proxies.nginx.workers import workers
from pillion.proxies.proof import ask, remove_dead_socket, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.proxies.driver import Runner
    from pillion.proxies.files.site import Site
    from pillion.proxies.templating.rendered import Rendered

CHECK_S = 60.0
"""For a check: it resolves the names of upstreams, each for as long as the host's resolver takes."""
WORDS_BYTES = 1 << 20
"""Beyond it the file with the words of the keeper's nginx is emptied."""

_CONFIGURATION_BYTES = 8 << 20
_MOST_FILES = 100
# ngx_open_listening_sockets(): five times, 500 ms apart, and only then it gives up.
_GIVES_UP = "still could not bind()"
_TRIES_AGAIN = "bind() to "
_LOOK_S = 0.05
# The second and third connection of a burst wake other workers than the first.
_AT_ONCE = 4


class NginxDriver:
    """The nginx of `site`. `proof` is the Unix socket on which it tells its version ("": it does not), `words` the file with what keeps it from loading ("": only what the configuration's own
    `error_log` gets), `room` the directory that it is started in ("": nobody knows), `empty` another socket of its configuration."""

    def __init__(
        self,
        site: Site,
        runner: Runner,
        *,
        main: str = "nginx.conf",
        program: str = "nginx",
        proof: str = "",
        words: str = "",
        room: str = "",
        empty: str = "",
    ) -> None:
        self._site = site
        self._runner = runner
        self._main = main
        self._program = program
        self._proof = proof
        self._words = words
        self._room = room
        self._empty = empty
        # What its words and its workers were when it was told to load; None: it was not told by us.
        self._read: dict[str, int] = {}
        self._before: frozenset[int] | None = None
        self._proved = ""

    async def check(self, directory: str) -> Verdict:
        """`nginx -t` on the configuration in `directory`. It binds the addresses that are free for a moment, and opens the log files that are named, without writing to them."""
        absolute = await asyncio.to_thread(self._absolute_names, directory)
        if absolute is not None:
            return absolute
        room = await asyncio.to_thread(self._open_room)
        ended = await run_command(self._command(directory), CHECK_S, room, proxy_path())
        found = messages(ended.output, (directory, self._site.directory))
        if not ended.failure:
            return Verdict(True, output=ended.output)
        if not any(one.grave for one in found):
            reason = f"cannot check {self._site.name}: {ended.failure}"
            return Verdict(False, reason, ended.output, passing=True)
        return _bad(f"cannot use the configuration of {self._site.name}", found, ended.output)

    async def load(self) -> Verdict:
        """SIGHUP, or a start when it does not run."""
        pid = self._runner.running()
        self._before = frozenset() if pid is None else workers(pid).present
        self._proved = ""
        self._read = await asyncio.to_thread(self._mark_words)
        self._make_room()
        try:
            if pid is None:
                await self._runner.start()
            else:
                await self._runner.signal("HUP")
        except PillionError as error:
            return Verdict(False, f"{error}", passing=True)
        return GOOD

    async def prove(self, version: str, timeout_s: float) -> Verdict:
        """Good once a worker that was begun after the load names `version`. For about 100 ms more, earlier ones may take connections too: only
        then nginx tells them to finish.

        Without a proof socket, once there are such workers.
        """
        # One that was killed and started anew tries for some seconds to have its socket.
        self._make_room()
        if self._proof:
            answer = await wait_for(
                self._proof,
                version,
                timeout_s,
                at_once=_AT_ONCE,
                hopeless=lambda: "it has said why not" if self._fatal() else "",
                believed=self._renewed,
            )
            good, why = answer.version == version, answer.why
            why = why or f"it serves {answer.version}"
        else:
            good, why = await self._wait_for_workers(timeout_s)
        if good:
            self._proved = version
            return GOOD
        found, said = self._spoken()
        if self._fatal(found):
            found = await asyncio.to_thread(self._located, found)
            return _bad(f"cannot load the configuration of {self._site.name}", found, said)
        reason = (
            f"cannot prove that {self._site.name} serves {version} within {timeout_s:g} s: {why}"
        )
        return Verdict(False, reason, said, places(found), passing=True)

    async def status(self) -> ProxyStatus:
        """What runs, and the version that it names."""
        pid = self._runner.running()
        found = workers(pid or 0)
        version = (await ask(self._proof)).version if self._proof else ""
        if self._proved and self._before and self._before & found.present:
            # It was asked of a worker that is about to be told to finish.
            version = self._proved
        self._bound_words()
        return ProxyStatus(
            pid is not None or bool(version),
            pid,
            version or None,
            len(found.present),
            len(found.old),
            found.old_loads,
        )

    async def bring_level(self, old: Rendered, new: Rendered) -> Level:  # noqa: ARG002 - the interface's
        """Never: nginx takes changes by a load alone."""
        return Level(False, why="nginx takes no change without a load")

    async def mind(self) -> None:
        """Clear away what one that somebody else runs leaves when it is killed; until cancelled. See `leftovers`."""
        sockets = [path for path in (self._proof, self._empty) if path]
        if sockets and not self._site.ours:
            await clear_leftovers(self._runner, sockets)

    def _command(self, directory: str) -> tuple[str, ...]:
        main = os.path.join(directory, self._main)
        command = (self._program, "-t", "-q", "-c", main, "-e", "stderr")
        if not self._site.ours:
            # Where it looks for what has no directory was compiled into it, and its file says the rest.
            return command
        pid = os.path.join(self._site.state, "check.pid")
        settings = f"daemon off; pid {pid}; error_log stderr;"
        return (*command, "-p", f"{directory}/", "-g", settings)

    def _open_room(self) -> str | None:
        """Where the check runs, since that is where sockets without a directory are; the keeper makes it with the first start."""
        if not self._room:
            return None
        with contextlib.suppress(OSError):  # nginx says what it cannot bind
            os.makedirs(self._room, exist_ok=True)
            os.chmod(self._room, 0o755)  # noqa: S103 # nginx looks at it where a name is empty
        return self._room if os.path.isdir(self._room) else None

    def _absolute_names(self, directory: str) -> Verdict | None:
        """A file that names another of ours by where it is served would have the old one checked."""
        names = [
            entry.name for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False)
        ]
        for name in sorted(names):
            with open(os.path.join(directory, name), errors="replace") as file:
                text = file.read(_CONFIGURATION_BYTES)
            for other in names:
                path = self._site.live(other)
                place = re.search(rf"{re.escape(path)}(?![\w./-])", text)
                if place is None:
                    continue
                line = text.count("\n", 0, place.start()) + 1
                message = f"it names {path}, where the old one is: write {other}"
                found = (Message("emerg", message, name, line),)
                return _bad(f"cannot check the configuration of {self._site.name}", found, message)
        return None

    def _make_room(self) -> None:
        """A socket that a killed nginx has left would keep a new one from starting."""
        if self._proof:
            with contextlib.suppress(OSError):
                remove_dead_socket(self._proof)

    def _fatal(self, found: tuple[Message, ...] | None = None) -> bool:
        """Whether it has said why it does not load."""
        said = self._spoken()[0] if found is None else found
        grave = [one for one in said if one.level == "emerg"]
        if any(_GIVES_UP in one.text for one in grave):
            return True
        return any(not (one.text.startswith(_TRIES_AGAIN) and one.passing) for one in grave)

    def _renewed(self) -> bool:
        """Whether there are workers that were not there before the load."""
        pid = self._runner.running()
        if self._before is None or pid is None:
            return True
        present = workers(pid).present
        # None at all can be seen where /proc is closed to us (hidepid).
        return not present or bool(present - self._before)

    async def _wait_for_workers(self, timeout_s: float) -> tuple[bool, str]:
        """Whether it has begun new workers, within a bound; for a process that nobody can look at that is assumed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while not self._fatal():
            pid = self._runner.running()
            if pid is not None and self._renewed():
                return True, ""
            if pid is None and self._before == frozenset() and not self._site.ours:
                return True, ""
            if loop.time() >= end:
                return False, "no worker was begun"
            await asyncio.sleep(_LOOK_S)
        return False, "it has said why not"

    def _mark_words(self) -> dict[str, int]:
        """From where on what it says belongs to the load that is about to be done: a position in each file."""
        if self._words:
            with contextlib.suppress(OSError):
                os.truncate(self._words, 0)
            return {self._words: 0}
        try:
            with open(self._site.live(self._main), errors="replace") as file:
                paths = error_logs(file.read(_CONFIGURATION_BYTES))
        except OSError:
            return {}
        return {path: _size(path) for path in paths}

    def _spoken(self) -> tuple[tuple[Message, ...], str]:
        """What it has said since it was told to load."""
        said = "".join(_tail(path, position) for path, position in self._read.items())
        return messages(said, (self._site.directory,)), said

    def _located(self, found: tuple[Message, ...]) -> tuple[Message, ...]:
        """With the lines that they are about, as far as they can be found in the files that it was told to load."""
        files = {}
        with contextlib.suppress(OSError):
            names = os.listdir(self._site.directory)
            # The main file first: it is what a line is looked for in by whoever reads it.
            for name in sorted(names, key=lambda name: (name != self._main, name))[:_MOST_FILES]:
                path = self._site.live(name)
                if os.path.isfile(path):
                    with open(path, errors="replace") as file:
                        files[name] = file.read(_CONFIGURATION_BYTES)
        return tuple(located(one, files) for one in found)

    def _bound_words(self) -> None:
        if self._words and _size(self._words) > WORDS_BYTES:
            with contextlib.suppress(OSError):
                os.truncate(self._words, 0)


def _bad(what: str, found: Iterable[Message], output: str) -> Verdict:
    """The refusal for what nginx said: by its first grave message."""
    grave = [one for one in found if one.grave]
    first = next((one for one in grave if _GIVES_UP not in one.text), grave[0])
    return Verdict(
        False,
        f"{what}: {first}",
        output[:OUTPUT_BYTES],
        places(grave),
        passing=all(one.passing for one in grave),
    )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _tail(path: str, position: int) -> str:
    """What was written from `position` on, at most `OUTPUT_BYTES` of it; a file that has become shorter is read from its beginning."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(position if position <= size else 0)
            return file.read(OUTPUT_BYTES).decode(errors="replace")
    except OSError:
        return ""
