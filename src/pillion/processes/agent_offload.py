"""The nginx in front of the app, as a proxy like the others: its configuration comes from settings and facts instead of templates, and a file says whether the app
can take work, so that no reload is needed for that."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.keeper.listeners import INBOUND
from pillion.keeper.places import proxy_path
from pillion.proxies.offload import configuration
from pillion.proxies.offload.build import has_brotli, read_build
from pillion.proxies.offload.facts import OffloadFacts, OffloadPlaces
from pillion.proxies.offload.user import check_ours, choose_worker
from pillion.proxies.templating.rendered import RenderError
from pillion.settings.offload import OFFLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.base.tasks import RootTasks
    from pillion.proxies.offload.build import NginxBuild
    from pillion.proxies.offload.compress import Report
    from pillion.proxies.offload.service import Precompression
    from pillion.proxies.offload.user import Worker
    from pillion.proxies.templating.facts import Facts
    from pillion.proxies.templating.references import Reference
    from pillion.proxies.templating.rendered import Missing, Rendered
    from pillion.settings import Settings
    from pillion.settings.offload import Offload

_VERSION_S = 10.0
_MOST_WORKERS = 4
# The proxy's, all proxies', the instance's.
_OWN_DIRECTORIES = 3


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
        worker = self._worker(facts)
        made = OffloadFacts(
            facts=facts,
            listen=listen,
            target=target,
            build=self._read_build(),
            user=None if worker is None else worker.user,
            group=None if worker is None else worker.group,
            workers=min(_MOST_WORKERS, len(os.sched_getaffinity(0))),
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            # Counted from inbound, of which this nginx is the first.
            hops=max(0, inbound.trusted_hops - 1) if self._by_inbound else inbound.trusted_hops,
            forwarded=inbound.forwarded,
        )
        try:
            _make_places(made, worker)
        except OSError as error:
            raise RenderError(
                f"cannot make the directories of offload: {error.filename}: {error.strerror}"
            ) from error
        return configuration.render(self._offload, made)

    def _target(self, facts: Facts) -> str | None:
        """Where what is no file goes: `host:port`."""
        if self._by_inbound:
            return facts.listeners.get(INBOUND)
        return None if facts.app_port is None else f"127.0.0.1:{facts.app_port}"

    @property
    def _by_inbound(self) -> bool:
        to = self._offload.to or ("inbound" if self._settings.inbound is not None else "app")
        return to == "inbound"

    def _worker(self, facts: Facts) -> Worker | None:
        """As whom workers run; None: as we do, who are not root."""
        offload = self._offload
        reads = [offload.root, *([offload.protected] if offload.protected else [])]
        try:
            if os.geteuid() != 0:
                check_ours(offload.user)
                return None
            # Of what is ours, the instance's own directories are opened for that user; what they lie in is not ours to open.
            held = facts.state_dir
            for _ in range(_OWN_DIRECTORIES):
                held = os.path.dirname(held)
            return choose_worker(offload.user, self._settings.app.user, reads, [held])
        except PillionError as error:
            # Nobody tells of a mode that was changed, so that it is looked at again.
            raise RenderError(f"{error}", passing=True) from error

    def _read_build(self) -> NginxBuild:
        if self._build is None:
            program = self._offload.as_proxy().program
            try:
                said = subprocess.run(
                    [program, "-V"],
                    env={**os.environ, "PATH": proxy_path()},
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
            from pillion.proxies.offload.service import Precompression

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


def _make_places(made: OffloadFacts, worker: Worker | None) -> None:
    """The directories that nginx looks into or writes to; its workers may come to them, and to nothing else that is ours."""
    places = made.places
    if worker is not None and worker.uid == 0:
        worker = None
    if worker is not None:
        path = places.base
        for _ in range(_OWN_DIRECTORIES):
            os.chown(path, -1, worker.gid)
            os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | stat.S_IXGRP)  # noqa: S103 # to pass through, for that group alone
            path = os.path.dirname(path)
    for path in (places.temporary, places.cache, places.compressed, places.gate):
        os.makedirs(path, 0o700, exist_ok=True)
        if worker is not None:
            writes = path in (places.temporary, places.cache)
            os.chown(path, worker.uid if writes else -1, worker.gid)
            os.chmod(path, 0o700 if writes else 0o750)
