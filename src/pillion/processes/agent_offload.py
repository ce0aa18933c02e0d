"""The nginx in front of the app, as a proxy like the others: its configuration comes from settings and facts instead of templates, and a file says whether the app
can take work, so that no reload is needed for that."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.keeper.listeners import INBOUND
from pillion.proxies import offload
from pillion.proxies.offload_build import has_brotli, read_build
from pillion.proxies.offload_facts import OffloadFacts, OffloadPlaces
from pillion.proxies.rendered import RenderError
from pillion.settings.offload import OFFLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.base.tasks import RootTasks
    from pillion.proxies.facts import Facts
    from pillion.proxies.offload_build import NginxBuild
    from pillion.proxies.offload_compress import Report
    from pillion.proxies.offload_service import Precompression
    from pillion.proxies.references import Reference
    from pillion.proxies.rendered import Missing, Rendered
    from pillion.settings import Settings
    from pillion.settings.offload import Offload

# As whom workers run when nginx is started by root, as packages of nginx name that user.
_USERS = ("www-data", "nginx", "nobody")
_VERSION_S = 10.0
_MOST_WORKERS = 4


class OffloadRenderer:
    """Makes the configuration of `settings.offload`; called in a thread, one at a time."""

    def __init__(self, settings: Settings, offload_settings: Offload) -> None:
        self._settings = settings
        self._offload = offload_settings
        self._build: NginxBuild | None = None

    def __call__(self, _values: Mapping[Reference, object], facts: Facts) -> Rendered | Missing:
        """The files; raises `RenderError` while there cannot be any."""
        listen = facts.listeners.get(OFFLOAD)
        target = self._target(facts)
        if listen is None or target is None:
            what = "its own address" if listen is None else "where the app listens"
            raise RenderError(f"cannot write the configuration of offload: {what} is not known yet")
        inbound = self._settings.ambassador.http
        made = OffloadFacts(
            facts=facts,
            listen=listen,
            target=target,
            build=self._read_build(),
            user=worker_user(self._settings, self._offload.root),
            workers=min(_MOST_WORKERS, len(os.sched_getaffinity(0))),
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            # Counted from inbound, of which this nginx is the first.
            hops=max(0, inbound.trusted_hops - 1) if self._by_inbound else inbound.trusted_hops,
            forwarded=inbound.forwarded,
        )
        try:
            _make_places(made)
        except OSError as error:
            raise RenderError(
                f"cannot make the directories of offload: {error.filename}: {error.strerror}"
            ) from error
        return offload.render(self._offload, made)

    def _target(self, facts: Facts) -> str | None:
        """Where what is no file goes: `host:port`."""
        if self._by_inbound:
            return facts.listeners.get(INBOUND)
        return None if facts.app_port is None else f"127.0.0.1:{facts.app_port}"

    @property
    def _by_inbound(self) -> bool:
        to = self._offload.to or ("inbound" if self._settings.inbound is not None else "app")
        return to == "inbound"

    def _read_build(self) -> NginxBuild:
        if self._build is None:
            program = self._offload.as_proxy().program
            try:
                said = subprocess.run(
                    [program, "-V"],
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=_VERSION_S,
                    check=False,
                    stdin=subprocess.DEVNULL,
                )
                self._build = read_build(said.stderr)
            except (OSError, subprocess.TimeoutExpired) as error:
                why = getattr(error, "strerror", None) or f"{error}"
                raise RenderError(
                    f"cannot run {program}: {why}; install nginx, or set offload.binary"
                ) from error
            except PillionError as error:
                raise RenderError(f"{error}") from error
        return self._build


class Precompressing:
    """Files are compressed while the settings want it, by the agent that is in charge."""

    def __init__(self, state_dir: str, tasks: RootTasks) -> None:
        self._places = OffloadPlaces(state_dir)
        self._tasks = tasks
        self._offload: Offload | None = None
        self._running: Precompression | None = None
        self._told = ""

    def follow(self, settings: Offload | None) -> None:
        """Begin, end, or begin anew where the settings are others; None: end."""
        wanted = settings if settings is not None and settings.precompress else None
        if wanted == self._offload:
            return
        self._offload = wanted
        if self._running is not None:
            self._running.close()
            self._running = None
        if wanted is not None:
            # Not above: it is needed by few.
            from pillion.proxies.offload_service import Precompression

            self._running = Precompression(
                wanted, self._places, self._tasks, brotli=has_brotli(), told=self._tell
            )

    def _tell(self, report: Report) -> None:
        """What cannot be done is told once."""
        if report.trouble and report.trouble != self._told:
            sys.stderr.write(f"pillion-agent: {report.trouble}\n")
        self._told = report.trouble


class Gate:
    """The file that is there while nothing may go to the app."""

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, "gate", "closed")
        self._told = ""

    def set(self, *, is_open: bool) -> None:
        """Open or close; what cannot be done is told once."""
        try:
            if is_open:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
            else:
                directory = os.path.dirname(self._path)
                os.makedirs(directory, 0o755, exist_ok=True)
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            why = f"pillion-agent: cannot change {self._path}: {error.strerror}\n"
            if why != self._told:
                self._told = why
                sys.stderr.write(why)


def worker_user(settings: Settings, root: str) -> str | None:
    """As whom workers run when we are root: as the app does, else as nginx usually does where that user may read `root`, else as root; None for others."""
    if os.geteuid() != 0:
        return None
    if settings.app.user is not None:
        return settings.app.user
    for name in _USERS:
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            return name if _may_read(os.path.realpath(root), account) else "root"
    return "root"


def _may_read(path: str, account: pwd.struct_passwd) -> bool:
    """Whether somebody else may list the directory at `path` and go through all that it is in."""
    groups = set(os.getgrouplist(account.pw_name, account.pw_gid))
    needed = 5
    while True:
        try:
            found = os.stat(path)
        except OSError:
            return False
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid == account.pw_uid:
            mode >>= 6
        elif found.st_gid in groups:
            mode >>= 3
        if mode & needed != needed:
            return False
        if path == "/":
            return True
        path, needed = os.path.dirname(path), 1


def _make_places(made: OffloadFacts) -> None:
    """The directories that nginx looks into or writes to; its workers may come to them, and to nothing else that is ours."""
    places = made.places
    account = None if made.user in (None, "root") else pwd.getpwnam(str(made.user))
    if account is not None:
        path = places.base
        for _ in range(3):  # the proxy's, all proxies', the instance's
            os.chown(path, -1, account.pw_gid)
            os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | stat.S_IXGRP)  # noqa: S103 # to pass through, for that group alone
            path = os.path.dirname(path)
    for path in (places.temporary, places.cache, places.compressed, places.gate):
        os.makedirs(path, 0o700, exist_ok=True)
        if account is not None:
            writes = path in (places.temporary, places.cache)
            os.chown(path, account.pw_uid if writes else -1, account.pw_gid)
            os.chmod(path, 0o700 if writes else 0o750)
