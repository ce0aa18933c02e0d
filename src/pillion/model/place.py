"""A child's place in its instance: what the keeper tells it at birth in `PILLION_CHILD`.

The shape is part of the wire between keeper and children (ARCHITECTURE.md), version 1.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "PILLION_CHILD"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Role, directories and inherited descriptors of one child.

    `component` is what the keeper calls the process: its role, or with a number when the role has
    several; `worker` is that number, from 1. `heartbeat_s` is the interval in seconds at which the keeper expects a heartbeat. A `passive`
    child gets ready beside its predecessor and begins its work at `promote`. `fds` maps a name
    (`control`, `api_unix`, `api_tcp`, `probe`, `handover`, …) to a descriptor number; the ambassador's
    listeners are `proxy`, `inbound` and `upstream:<name>`.
    """

    v: int
    role: str
    component: str = ""
    worker: int = 1
    instance: str
    run: str
    runtime_dir: str
    state_dir: str
    heartbeat_s: float = 1.0
    passive: bool = False
    fds: dict[str, int] = {}

    def runtime(self, name: str) -> str:
        """The path of the file `name` in the instance's runtime directory."""
        return os.path.join(self.runtime_dir, name)

    def state(self, name: str) -> str:
        """The path of the file `name` in the instance's state directory."""
        return os.path.join(self.state_dir, name)

    @property
    def spool_dir(self) -> str:
        """The directory that holds one directory per run, with its streams."""
        return os.path.join(self.state_dir, "spool")


def read_place(environment: Mapping[str, str]) -> Place:
    """Return the place that `environment` describes; `UsageError` when there is none or another version."""
    text = environment.get(VARIABLE)
    if text is None:
        raise UsageError(
            f"cannot find {VARIABLE} in the environment: this program is started by the keeper; "
            "use `pillion run -- COMMAND`"
        )
    try:
        place = msgspec.json.decode(text.encode(), type=Place)
    except msgspec.DecodeError as error:
        raise UsageError(f"cannot read {VARIABLE}: {error}; start it by `pillion run`") from error
    if place.v != 1:
        raise UsageError(
            f"cannot serve a keeper that speaks version {place.v} of the wire, only 1: "
            "upgrade the keeper too with `pillion upgrade --keeper`"
        )
    if "control" not in place.fds:
        raise UsageError(f"cannot reach the keeper: {VARIABLE} names no control descriptor")
    if not place.component:  # a keeper before the ambassador names none
        place = msgspec.structs.replace(place, component=place.role)
    return place
