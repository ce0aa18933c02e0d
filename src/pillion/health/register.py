"""Checks that come by the API: who may add which, how many there may be, and how long they stay."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from pillion.errors import RefusedError
from pillion.health.check import Exec, Ttl
from pillion.health.definitions import from_request
from pillion.health.memory import Registered
from pillion.settings.names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pillion.health.board import Entry
    from pillion.health.check import Check
    from pillion.health.memory import Files

MOST = 256
"""Registered checks at a time."""


class Register:
    """The registered checks, in the words in which they came: the app's port may change what they mean."""

    def __init__(self, files: Files) -> None:
        self.registered: dict[str, Registered] = {}
        self._files = files
        self._reserved: frozenset[str] = frozenset()
        self._unsaved = False
        self._saving = asyncio.Lock()

    def load(self, registered: Mapping[str, Registered], port: int | None) -> None:
        """Begin with what was registered before."""
        for name, one in registered.items():
            try:
                from_request(name, one.check, port)
            except RefusedError as error:
                sys.stderr.write(f"pillion-agent: cannot go on with the check {name}: {error}\n")
            else:
                self.registered[name] = one

    def reserve(self, names: Iterable[str]) -> None:
        """These are the settings' own; a registered one of the same name gives way."""
        self._reserved = frozenset(names)
        for name in self._reserved & self.registered.keys():
            self._forget(name)

    def checks(self, port: int | None) -> dict[str, Check]:
        """All of them."""
        return {name: from_request(name, one.check, port) for name, one in self.registered.items()}

    def drop_of_run(self) -> None:
        """The app has ended: only what is persistent stays."""
        self.registered = {name: one for name, one in self.registered.items() if one.persistent}

    def put(
        self,
        name: str,
        body: Mapping[str, object],
        port: int | None,
        *,
        persistent: bool,
        operator: bool,
    ) -> tuple[Check, bool]:
        """Take one in; the check, and whether it is new. Raises `RefusedError`: 403, 409, 422."""
        try:
            check_name(name)
        except ValueError as error:
            raise _refused(422, f"cannot use this name: {error}") from error
        self._not_of_settings(name)
        check = from_request(name, body, port)
        before = self.registered.get(name)
        if isinstance(check.probe, Exec) or (before is not None and "exec" in before.check):
            _operator_only(name, operator=operator)
        if before is None and len(self.registered) >= MOST:
            raise _refused(
                409, f"cannot register {name}: there are {MOST} registered checks; remove one"
            )
        self.registered[name] = Registered(check=dict(body), persistent=persistent)
        self._unsaved |= persistent or (before is not None and before.persistent)
        return check, before is None

    def remove(self, name: str, *, operator: bool) -> None:
        """Remove one. Raises `RefusedError`: 403, 404, 409."""
        self._not_of_settings(name)
        before = self.registered.get(name)
        if before is None:
            raise _missing(name)
        if "exec" in before.check:
            _operator_only(name, operator=operator)
        self._forget(name)

    async def save(self) -> None:
        """Bring what is persistent to the disk. Raises `RefusedError` 503 when the disk does not take it."""
        async with self._saving:
            if not self._unsaved:
                return
            self._unsaved = False
            try:
                await asyncio.to_thread(self._files.save_checks, dict(self.registered))
            except OSError as error:
                self._unsaved = True
                raise _refused(
                    503,
                    f"cannot keep the registered checks: {error.strerror}; what was changed is in force, and "
                    "lost with this run unless it is sent again",
                ) from error

    @staticmethod
    def admit(in_charge: bool) -> None:  # the answer to one question
        """Raise `RefusedError` 503 unless this agent is in charge."""
        if not in_charge:
            raise _refused(
                503, "cannot change checks now: this agent is being replaced; try again at once"
            )

    @staticmethod
    def need_ttl(name: str, entry: Entry | None) -> None:
        """Raise `RefusedError` unless it is a ttl check that can be told: 404, 409."""
        if entry is None:
            raise _missing(name)
        if not isinstance(entry.check.probe, Ttl):
            sort = entry.check.probe.sort
            raise _refused(
                409,
                f"cannot tell {name}: it is a check of the sort {sort}, which is asked, not told",
            )

    def _forget(self, name: str) -> None:
        self._unsaved |= self.registered.pop(name).persistent

    def _not_of_settings(self, name: str) -> None:
        if name in self._reserved:
            raise _refused(
                409, f"cannot change {name} here: it stands in the settings file; change it there"
            )


def _operator_only(name: str, *, operator: bool) -> None:
    if not operator:
        raise _refused(
            403,
            f"cannot register or remove {name} as app: a check that runs a command is for the operator; use the Unix "
            "socket as the instance's user or root, or the token in operator.token",
        )


def _missing(name: str) -> RefusedError:
    return _refused(404, f"cannot find the check {name[:64]!r}; GET /v1/health lists them")


def _refused(status: int, detail: str) -> RefusedError:
    titles = {
        403: "Forbidden",
        404: "Not Found",
        409: "Conflict",
        422: "Unprocessable Content",
        503: "Service Unavailable",
    }
    return RefusedError(status, titles[status], detail)
