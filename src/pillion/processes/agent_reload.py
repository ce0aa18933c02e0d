"""A reload: the settings file is read and validated as a whole, and only then does anything change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pillion.base.files import write_atomically
from pillion.errors import PillionError, RefusedError
from pillion.keeper.places import INSTANCE_FILE, SETTINGS_FILE
from pillion.lifecycle.plan import keeper_plan, named
from pillion.lifecycle.reload import ReloadAnswer, reload_answer
from pillion.model.instance import Instance
from pillion.settings import Settings, SettingsError, from_json, load, to_json

if TYPE_CHECKING:
    from pillion.base.control import Control
    from pillion.model.place import Place

_RECORD_BYTES = 1 << 20


def read_settings(place: Place) -> Settings:
    """The settings in force, from the instance's settings.json; `PillionError` when they cannot be read."""
    path = place.runtime(SETTINGS_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return from_json(file.read())
    except (OSError, SettingsError) as error:
        raise PillionError(
            f"cannot read {path}: {error}; restart the instance to have it written anew"
        ) from error


class Reloader:
    """Carries out reloads, one at a time. `settings` are those in force."""

    def __init__(self, control: Control, settings: Settings) -> None:
        self._control = control
        self._place = control.place
        self._busy = asyncio.Lock()
        self.settings = settings

    async def reload(self) -> ReloadAnswer:
        """Read the file again, put it in force, and return what that means.

        Raises `SettingsError` with every problem, `RefusedError` 409 when there is no file, a reload is under way, or the keeper
        cannot have what is wanted (an address, a limit): nothing has changed then. `UnreachableError` when the keeper does not answer.
        """
        if self._busy.locked():
            raise RefusedError(
                409, "Conflict", "cannot reload: another reload is under way; wait for it"
            )
        async with self._busy:
            record = await asyncio.to_thread(_record, self._place.runtime(INSTANCE_FILE))
            if record.settings_file is None:
                raise RefusedError(
                    409,
                    "No Settings File",
                    "cannot reload: this instance was started without a settings file; write one with "
                    "`pillion init` and start it again",
                )
            try:
                new = named(await asyncio.to_thread(load, record.settings_file, record.overrides))
            except SettingsError as error:
                problems = [str(one) for one in error.problems]
                self._control.event(
                    "reload-refused", problems[0], data={"problems": [*problems[:20]]}
                )
                raise
            # An earlier version has left names open in what it wrote.
            old = self.settings
            answer = reload_answer(named(old), new)
            await self._write(new)
            plan = keeper_plan(new, record.settings_file)
            try:
                # Everyone is told to read the file before this returns.
                self.settings = new
                await self._control.call("reload", {"plan": plan}, msgspec.Raw)
            except RefusedError as refused:
                self.settings = old
                await self._write(old)
                self._control.event("reload-refused", str(refused))
                raise
            return answer

    async def _write(self, settings: Settings) -> None:
        path, text = self._place.runtime(SETTINGS_FILE), to_json(settings).encode()
        await asyncio.to_thread(write_atomically, path, text)


def _record(path: str) -> Instance:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(_RECORD_BYTES), type=Instance)
    except (OSError, msgspec.DecodeError) as error:
        raise PillionError(f"cannot read {path}: {error}; restart the instance") from error
