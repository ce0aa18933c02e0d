"""The TLS that is in use, shared where it is the same, and built anew when its files change.

inotify tells of changes; where it cannot (no instance is left, a network file system), files are looked at every ten seconds.
A pair is replaced in two steps, so that one which does not match is nothing unusual: it is told of, the one in use
stays, and the next change is waited for. However often a file is touched, it is read once a second at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from pillion.base.inotify import CHANGES, Inotify

from .tls import HTTP, Built, Tls, TlsClient, TlsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pillion.base.tasks import RootTasks
    from pillion.settings.edges import ServerTls
    from pillion.settings.upstreams import ClientTls

POLL_S = 10.0
GATHER_S = 0.1
PACE_S = 1.0
WARN_BEFORE = datetime.timedelta(days=14)

RELOADED = "certificate-changed"
REFUSED = "certificate-refused"
EXPIRES = "certificate-expires"

T = TypeVar("T", bound=Tls)


class TlsEvent(msgspec.Struct, frozen=True):
    """What became of files that changed: `certificate-changed`, `certificate-refused` (the ones before stay), or `certificate-expires` soon, or has."""

    kind: str
    detail: str


class TlsFiles:
    """All TLS of a worker; made inside its loop. `told` hears of every change.

    `server` and `client` give what fits the settings, made when there is none; `follow` says which are in use from now on.
    `reloads` and `refusals` count. Until the first `follow`, a `lenient` one makes also what cannot be built: its listener
    or upstream has no TLS before its files are good, and everything else works.
    """

    def __init__(
        self,
        tasks: RootTasks,
        told: Callable[[TlsEvent], None],
        *,
        lenient: bool = False,
        use_inotify: bool = True,
        poll_s: float = POLL_S,
        pace_s: float = PACE_S,
    ) -> None:
        self._tasks = tasks
        self._told = told
        self._lenient = lenient
        self._use_inotify = use_inotify
        self._poll_s = poll_s
        self._pace_s = pace_s
        self._loop = asyncio.get_running_loop()
        self._all: dict[object, Tls] = {}
        self._refused: dict[Tls, str] = {}
        self._followed: set[Tls] | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._inotify: Inotify | None = None
        self._blind = False
        self.reloads = 0
        self.refusals = 0

    def server(self, settings: ServerTls) -> TlsServer:
        """The TLS of a listener. Raise ValueError when it cannot be built."""
        lenient = self._lenient
        return self._get(_server_key(settings), lambda: _make_server(settings, lenient=lenient))

    def client(self, settings: ClientTls, *, alpn: tuple[str, ...] = HTTP) -> TlsClient:
        """The TLS to an upstream, `alpn` empty for raw TCP; upstreams of the same settings share it, for the system's trusted
        certificates alone take a megabyte. Raise ValueError when it cannot be built.
        """
        lenient = self._lenient
        key = _client_key(settings, alpn)
        return self._get(key, lambda: _make_client(settings, alpn, lenient=lenient))

    async def prepare(
        self,
        servers: Iterable[ServerTls] = (),
        clients: Iterable[tuple[ClientTls, tuple[str, ...]]] = (),
    ) -> None:
        """Build what is not there yet in a thread, so that `server` and `client` find it: the system's trusted certificates
        take 50 ms. What cannot be built is left for them to say so. `clients` come with their `alpn`.
        """
        makers: dict[object, Callable[[], Tls]] = {}
        for server in servers:
            makers[_server_key(server)] = partial(_make_server, server)
        for client, alpn in clients:
            makers[_client_key(client, alpn)] = partial(_make_client, client, alpn)
        for key, make in makers.items():
            if key not in self._all:
                with contextlib.suppress(ValueError):
                    made = await asyncio.to_thread(make)
                    if key not in self._all:
                        self._all[key] = made
                        self._warn(made)

    def _get(self, key: object, make: Callable[[], T]) -> T:
        found = self._all.get(key)
        if found is None:
            found = self._all[key] = make()
            if not found.ready:
                self._take(found, found.why)
            self._warn(found)
        return cast("T", found)

    def follow(self, used: Iterable[Tls]) -> None:
        """Forget all others, and read these again when their files change."""
        self._lenient = False
        wanted = set(used)
        if self._followed == wanted and len(self._all) == len(wanted):
            return  # nothing is new, and policies come with every change of an endpoint
        self._followed = wanted
        self._all = {key: tls for key, tls in self._all.items() if tls in wanted}
        self._refused = {tls: why for tls, why in self._refused.items() if tls in wanted}
        if not any(tls.files for tls in self._all.values()):
            self._rest()
            return
        if self._task is None:
            self._open()
            self._task = self._tasks.start("tls files", self._follow())
        self._watch()
        self._changed.set()  # what changed between making and following

    def close(self) -> None:
        """Follow nothing any more."""
        self._all.clear()
        self._followed = None
        self._rest()

    def _rest(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
        self._changed.clear()

    def _open(self) -> None:
        self._blind = False
        if not self._use_inotify:
            return
        try:
            self._inotify = Inotify(CHANGES)
        except OSError:
            return  # none is left for this user: look
        self._listen()

    def _watch(self) -> None:
        """Watch the directories of all files, and those that links lead to; again after each change, as they may be others."""
        if self._inotify is None:
            return
        directories = set()
        for tls in self._all.values():
            for file in tls.files:
                directories.add(os.path.dirname(file) or ".")
                directories.add(os.path.dirname(os.path.realpath(file)))
        blind = False
        for directory in directories:
            blind |= not self._inotify.watch(directory)
        self._blind = blind

    def _reported(self) -> None:
        if self._inotify is not None:
            # Not one wake-up more before we have looked: a busy directory is none of our business.
            self._loop.remove_reader(self._inotify.fd)
        self._changed.set()

    def _listen(self) -> None:
        if self._inotify is not None:
            self._inotify.drain()
            self._loop.add_reader(self._inotify.fd, self._reported)

    async def _follow(self) -> None:
        while True:
            polls = self._inotify is None or self._blind
            try:
                async with asyncio.timeout(self._poll_s if polls else None):
                    await self._changed.wait()
                await asyncio.sleep(GATHER_S)  # changes come in bursts
            except TimeoutError:
                pass
            self._changed.clear()
            self._listen()
            for tls in tuple(self._all.values()):
                # The disk may hang, and reading a key takes a while.
                result = await asyncio.to_thread(_again, tls)
                if result is not None and tls in self._all.values():
                    self._take(tls, result)
            self._watch()
            await asyncio.sleep(self._pace_s)

    def _take(self, tls: Tls, result: Built | str) -> None:
        if isinstance(result, str):
            if self._refused.get(tls) != result:
                self._refused[tls] = result
                self.refusals += 1
                stays = "what was read before stays in use"
                none = "until then there is no TLS with it"
                self._told(TlsEvent(REFUSED, f"{result}; {stays if tls.ready else none}"))
            return
        self._refused.pop(tls, None)
        tls.take(result)
        self.reloads += 1
        self._told(TlsEvent(RELOADED, f"new connections use {', '.join(tls.files)} as changed"))
        self._warn(tls)

    def _warn(self, tls: Tls) -> None:
        expires = tls.expires
        if expires is None:
            return
        now = datetime.datetime.now(datetime.UTC)
        if expires - now < WARN_BEFORE:
            verb = "expires" if expires > now else "has expired"
            self._told(
                TlsEvent(
                    EXPIRES,
                    f"the certificate {tls.files[0]} {verb} at {expires:%Y-%m-%dT%H:%M:%SZ}; replace it",
                )
            )


def _again(tls: Tls) -> Built | str | None:
    """In a thread: a context of changed files, or what is wrong with them; None when they are the same."""
    if not tls.stale:
        return None
    try:
        return tls.build()
    except ValueError as error:
        return str(error)


def _server_key(settings: ServerTls) -> object:
    return (
        *("server", settings.cert_file, settings.key_file, settings.client_ca_file),
        *(settings.allowed_names, settings.min_version),
    )


def _make_server(settings: ServerTls, *, lenient: bool = False) -> TlsServer:
    return TlsServer(
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        client_ca_file=settings.client_ca_file,
        allowed_names=settings.allowed_names,
        min_version=settings.min_version,
        lenient=lenient,
    )


def _client_key(settings: ClientTls, alpn: tuple[str, ...]) -> object:
    return (
        *("client", settings.ca_file, settings.verify, settings.cert_file),
        *(settings.key_file, settings.names, alpn),
    )


def _make_client(settings: ClientTls, alpn: tuple[str, ...], *, lenient: bool = False) -> TlsClient:
    return TlsClient(
        ca_file=settings.ca_file,
        verify=settings.verify,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        names=settings.names,
        alpn=alpn,
        lenient=lenient,
    )
