"""Puts values of the configuration into files and into the app's environment, and tells the app when a file has changed.

Nothing is polled: a change of a value, of the settings or of the app wakes it, and after a failure a timer until it has succeeded.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.base.command import run_command
from pillion.base.files import write_atomically
from pillion.config.projection import concerns, content, variables, wanted
from pillion.config.projection_files import Owner, correct, differs, replace
from pillion.config.projection_pending import Pending
from pillion.config.projection_tree import ProjectionError
from pillion.errors import PillionError
from pillion.lifecycle.readiness import APP
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.config.projection import Values
    from pillion.model.component import Status
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.settings import Settings
    from pillion.settings.config import ConfigFile

COMMAND_S = 30.0
PENDING_FILE = "projection.json"

# Changes that come one after the other are gathered: an app is not told a thousand times a second.
_PACE_S = 0.1
_CLOSE_S = 0.3
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0
_NOTE_BYTES = 1 << 20
_EVERYTHING: frozenset[str] = frozenset()


class ProjectionPart(Part):
    """Keeps files and variables as the configuration wants them, while this agent is in charge."""

    def __init__(self, outfit: Outfit, values: Values) -> None:
        self._place = outfit.place
        self._control = outfit.control
        self._tasks = outfit.tasks
        self._settings = outfit.settings
        self._values = values
        self._enabled = False
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._first = asyncio.Event()
        # What is to be looked at: the keys that have changed, all of them when it is empty, nothing when it is None.
        self._changed: frozenset[str] | None = None
        self._pending = Pending()
        self._pending_path = outfit.place.runtime(PENDING_FILE)
        self._context = outfit.context
        self._status: Status | None = None
        self._app_ready = False
        self._told: dict[str, str] | None = None
        self._failing: dict[str, str] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._retry_s = _FIRST_RETRY_S
        self._written = 0
        self._failures = 0

    def enable(self) -> None:
        """Begin: this agent is the one in charge."""
        self._enabled = True
        self._values.on_change(self._look_at)
        self._task = self._tasks.start("project configuration", self._keep_up(), may_end=True)

    async def prepare(self) -> None:
        """Files and variables are as they should be before the app starts; the values are there by now."""
        if self._enabled:
            self._look_at(_EVERYTHING)
            await self._first.wait()

    def disable(self) -> None:
        """End: what is under way is finished, since nobody else would do it."""
        self._enabled = False
        self._cancel_retry()
        self._wake.set()

    def settings(self, settings: Settings) -> None:
        """Take over changed settings. A file that they no longer name is left where it is."""
        if settings.config == self._settings.config and settings.app == self._settings.app:
            self._settings = settings
            return
        self._settings = settings
        self._look_at(_EVERYTHING)

    def state(self, status: Status) -> None:
        """Follow the app: a new process is owed nothing, and one that is not ready yet could die of a signal."""
        self._status = status
        app = status.component(APP)
        pid = app.pid if app is not None and app.state == "running" else None
        self._pending.meet(pid or 0)
        self._app_ready = pid is not None and app is not None and app.ready
        if self._app_ready and self._pending:
            self._wake.set()

    def stats(self) -> Stats:
        """How many files were written, how often something could not be done, and what cannot at present."""
        return {
            "projection_files_written_total": self._written,
            "projection_failures_total": self._failures,
            "projection_failing": len(self._failing),
        }

    async def close(self) -> None:
        """Leave what is under way a moment; what is not done by then has been noted for a successor."""
        self.disable()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_CLOSE_S)
            self._task.cancel()

    def _look_at(self, keys: frozenset[str]) -> None:
        # An empty set is everything, and swallows what else there is.
        if self._changed is None:
            self._changed = keys
        elif self._changed and keys:
            self._changed |= keys
        else:
            self._changed = _EVERYTHING
        self._wake.set()

    async def _keep_up(self) -> None:
        await self._meet_app()
        while self._enabled:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, None
            if changed is not None and self._enabled:
                await self._project(changed)
                self._first.set()
            if self._pending and self._app_ready:
                await self._tell_app()
            if self._enabled:
                await asyncio.sleep(_PACE_S)

    async def _meet_app(self) -> None:
        """Whether the app runs has to be known before its files change; and what a predecessor owes it is ours now."""
        if self._status is None:
            try:
                self.state(await self._context.fresh_status())
            except PillionError as error:
                sys.stderr.write(f"pillion-agent: {error}\n")
        note = await asyncio.to_thread(self._read_note)
        self._pending.recall(note, self._place.run)

    async def _project(self, changed: frozenset[str]) -> None:
        config = self._settings.config
        retry = False
        if not changed or changed & set(config.env.values()):
            retry = not await self._set_variables()
        for file in config.files:
            if concerns(file, changed):
                retry = not await self._write(file) or retry
        if retry:
            self._try_again()
        elif not self._failing:
            self._retry_s = _FIRST_RETRY_S

    async def _set_variables(self) -> bool:
        """Tell the keeper what the app's environment has besides; False when that is to be tried again."""
        found = variables(self._settings.config.env, self._values)
        for name in self._settings.config.env:
            if name in found.left_out:
                self._failed(f"${name}", f"cannot set {name}: {found.left_out[name]}")
            else:
                self._failing.pop(f"${name}", None)
        if found.env == self._told or not (self._settings.config.env or self._told):
            return True
        try:
            await self._control.call("app-environment", {"env": found.env}, msgspec.Raw)
        except PillionError as error:
            self._failed("app-environment", f"{error}")
            return False
        self._failing.pop("app-environment", None)
        self._told = found.env
        return True

    async def _write(self, file: ConfigFile) -> bool:
        """Bring one file up to date; False when that is to be tried again."""
        try:
            value = wanted(file, self._values)
            if value is None:
                why = f"{file.key} has no value" if file.key else f"no key is below {file.prefix}"
                self._failed(file.path, f"cannot write {file.path}: {why}; it is left as it is")
                return True
            await self._put(file, value)
        except ProjectionError as error:
            self._failed(file.path, f"cannot write {file.path}: {error}")
            return True
        except OSError as error:
            why = error.strerror or f"{error}"
            self._failed(
                file.path,
                f"cannot write {file.path}: {why}; create its directory, or set another path",
            )
            return False
        self._failing.pop(file.path, None)
        return True

    async def _put(self, file: ConfigFile, value: object) -> None:
        data = await asyncio.to_thread(content, file, value)
        owner = await asyncio.to_thread(_owner, self._settings)
        if not await asyncio.to_thread(differs, file.path, data):
            await asyncio.to_thread(correct, file.path, file.mode, owner)
            return
        # Noted before it is done, and owed after: the app is not told of a file that could not be written.
        note = self._pending.note(self._place.run, file)
        if note:
            await asyncio.to_thread(write_atomically, self._pending_path, note)
        await asyncio.to_thread(replace, file.path, data, file.mode, owner)
        self._pending.add(file)
        self._written += 1
        self._control.event("projected", f"{file.path} has changed", data={"path": file.path})

    async def _tell_app(self) -> None:
        """Carry out what is owed to the app."""
        signals, commands = list(self._pending.signals), list(self._pending.commands)
        self._pending.clear()
        for name in signals:
            try:
                await self._control.call("signal", {"name": APP, "signal": name}, msgspec.Raw)
            except PillionError as error:
                self._report(f"{error}", {"signal": name})
        for command in commands:
            ended = await run_command(command, COMMAND_S)
            if ended.failure:
                self._report(
                    f"cannot tell the app of its new files: {ended.failure}",
                    {"command": [*command], "output": ended.output},
                )
        if not self._pending:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._pending_path)

    def _read_note(self) -> bytes:
        """What a predecessor that was killed has left undone; empty when it has done everything."""
        try:
            with open(self._pending_path, "rb") as file:
                return file.read(_NOTE_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            sys.stderr.write(f"pillion-agent: cannot read {self._pending_path}: {error}\n")
            return b""

    def _failed(self, what: str, reason: str) -> None:
        """Tell of a failure once, as long as it stays the same."""
        if self._failing.get(what) != reason:
            self._failing[what] = reason
            self._report(reason, {})

    def _report(self, reason: str, data: dict[str, Json]) -> None:
        self._failures += 1
        self._control.event("project-failed", reason, data=data)

    def _try_again(self) -> None:
        if self._retry is None and self._enabled:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(self._retry_s, self._retry_now)
            self._retry_s = min(_LAST_RETRY_S, self._retry_s * 2)

    def _retry_now(self) -> None:
        self._retry = None
        self._look_at(_EVERYTHING)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


def _owner(settings: Settings) -> Owner | None:
    """Whom the app runs as, when that is somebody else and we may give files away."""
    app = settings.app
    if os.geteuid() != 0 or (app.user is None and app.group is None):
        return None
    from pillion.keeper.launch import Failure, lookup_ids

    try:
        ids = lookup_ids(app.user, app.group)
    except Failure:
        return None  # the app cannot be started either, and that is told
    return None if ids is None else Owner(ids[0], ids[1])
