"""What outlives an agent: the states of the checks, and the checks that were registered while it ran.

A new agent of the same run goes on from the last known states, so that neither a crash nor an upgrade takes a healthy app out of
anybody's list. Written when something changes and at no other time.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TypeVar

import msgspec

from pillion.base.files import write_atomically

T = TypeVar("T")

STATES_FILE = "health.json"
"""In the runtime directory: this run's."""
CHECKS_FILE = "checks.json"
"""In the state directory: the registered checks that are to stay."""
_BYTES = 4 << 20


class Remembered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A check's state; times are seconds of the monotonic clock, which all processes of a host share."""

    status: str
    decided: bool
    since: str
    output: str = ""
    checked: str | None = None
    falls: int = 0
    grace_until: float = 0.0
    good_from: float | None = None
    good_until: float | None = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A check that came by the API, in the words of the settings. `persistent`: it stays until it is deleted."""

    check: dict[str, object]
    persistent: bool = False


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `app` names the app's process that the states are of; `started`: its start-up checks have passed."""

    v: int = 1
    run: str = ""
    app: str = ""
    started: bool = False
    restarts: int = 0
    states: dict[str, Remembered] = {}
    registered: dict[str, Registered] = {}


class _Checks(msgspec.Struct, frozen=True, kw_only=True):
    v: int = 1
    checks: dict[str, Registered] = {}


class Files:
    """The two files of an instance."""

    def __init__(self, runtime_dir: str, state_dir: str) -> None:
        self._states = os.path.join(runtime_dir, STATES_FILE)
        self._checks = os.path.join(state_dir, CHECKS_FILE)

    def load(self, run: str) -> Memory:
        """What is known in this run, and the persistent checks whichever run it is; empty for what cannot be read."""
        known = _read(self._states, Memory)
        if known is None or known.run != run or known.v != 1:
            known = Memory(run=run)
        kept = _read(self._checks, _Checks) or _Checks()
        return msgspec.structs.replace(known, registered={**known.registered, **kept.checks})

    def save_states(self, memory: Memory) -> None:
        """Write this run's file. Raises `OSError`."""
        passing = {name: one for name, one in memory.registered.items() if not one.persistent}
        run_only = msgspec.structs.replace(memory, registered=passing)
        write_atomically(self._states, msgspec.json.encode(run_only))

    def save_checks(self, registered: dict[str, Registered]) -> None:
        """Write the persistent ones among `registered`, to the disk. Raises `OSError`."""
        kept = {name: one for name, one in registered.items() if one.persistent}
        if not kept:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._checks)
            return
        write_atomically(self._checks, msgspec.json.encode(_Checks(checks=kept)), durable=True)


def _read(path: str, kind: type[T]) -> T | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(_BYTES), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        # Health is found out again within an interval; a registered check has to be registered again.
        sys.stderr.write(f"pillion-agent: cannot read {path}: {error}; going on without it\n")
        return None
