"""Answers the question where the app runs: puts together the host's facts, the cloud's, the keeper's and Pillion's own.

The host's facts are read aside, since a file system of a network may hang for ever, and waited for with a bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING

import msgspec

from pillion import __version__
from pillion.base.aside import Aside
from pillion.environment.cloud import find_provider
from pillion.environment.facts import Environment, InForce, Sidecar
from pillion.environment.metadata import fetch
from pillion.environment.secrecy import without_userinfo
from pillion.errors import UnreachableError
from pillion.keeper.places import INSTANCE_FILE, SETTINGS_FILE
from pillion.model.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.environment.facts import Cloud
    from pillion.environment.gathering import Gathering, Local
    from pillion.model.component import Status
    from pillion.model.place import Place

APP = "app"
READ_S = 5.0
# A metadata service that did not tell is not asked again before.
_ASK_AGAIN_S = 60.0
_RECORD_BYTES = 1 << 20

Reading = tuple["Local", str | None, Sidecar]


class Surroundings:
    """The facts of one instance, on demand; reads nothing before it is asked. Make it inside the running loop.

    `gathering` makes what reads the host's facts, once, in the thread that reads them.
    """

    def __init__(
        self,
        place: Place,
        gathering: Callable[[], Gathering],
        fetch_cloud: Callable[[str], Awaitable[Cloud]] = fetch,
        read_s: float = READ_S,
    ) -> None:
        self._place = place
        self._make = gathering
        self._gathering: Gathering | None = None
        self._fetch = fetch_cloud
        self._read_s = read_s
        self._reading: Aside[Reading] = Aside("environment")
        self._cloud: Cloud | None = None
        self._cloud_again_s = 0.0
        self._asking = asyncio.Lock()

    async def describe(self, status: Status | None) -> Environment:
        """Everything, with what the keeper told last. Raises `UnreachableError` when the host's facts cannot be read in time."""
        app = None if status is None else status.component(APP)
        pid, started = (None, None) if app is None else (app.pid, app.started)
        local, provider, sidecar = await self._read(pid, started)
        return Environment(
            host=local.host,
            container=local.container,
            pod=local.pod,
            cloud=None if provider is None else await self._ask_cloud(provider),
            app=local.app,
            limits=[]
            if status is None
            else [
                InForce(component=one.name, limits=one.limits, limits_by=one.limits_by)
                for one in status.components
            ],
            sidecar=sidecar
            if status is None
            else msgspec.structs.replace(sidecar, keeper_version=status.keeper.version),
        )

    async def _read(self, pid: int | None, started: str | None) -> Reading:
        try:
            return await self._reading.run(lambda: self._read_here(pid, started), self._read_s)
        except TimeoutError:
            raise UnreachableError(
                f"cannot tell the environment: reading it takes longer than {self._read_s:g} s; "
                "is a network file system away?"
            ) from None

    def _read_here(self, pid: int | None, started: str | None) -> Reading:
        gathering = self._gathering = self._gathering or self._make()
        local = gathering.read(pid, started)
        return local, find_provider(gathering.files), read_sidecar(self._place)

    async def _ask_cloud(self, provider: str) -> Cloud:
        async with self._asking:
            known = self._cloud
            if known is None or (
                known.error is not None and time.monotonic() >= self._cloud_again_s
            ):
                known = self._cloud = await self._fetch(provider)
                self._cloud_again_s = time.monotonic() + _ASK_AGAIN_S
            return known


def read_sidecar(place: Place) -> Sidecar:
    """What there is to say of Pillion itself, from the instance's own files; missing ones are told as unknown."""
    try:
        with open(place.runtime(SETTINGS_FILE), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        digest = None
    try:
        with open(place.runtime(INSTANCE_FILE), "rb") as file:
            record = msgspec.json.decode(file.read(_RECORD_BYTES), type=Instance)
    except (OSError, msgspec.DecodeError):
        record = Instance(name=place.instance)
    settings = record.settings_file
    return Sidecar(
        version=__version__,
        instance=place.instance,
        run=place.run,
        settings_file=None if settings is None else without_userinfo(settings),
        settings_digest=digest,
    )
