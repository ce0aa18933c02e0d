"""Reads what a running HAProxy says about its servers: `show servers state`, the only answer that has every server in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.haproxy.servers import shortest

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORCED_MAINT = 0x01
_INHERITED_MAINT = 0x02
_FORCED_DRAIN = 0x08
_CHECK_CONFIGURED = 0x02
_CHECK_ENABLED = 0x04
_NEEDED = (
    "be_name", "srv_name", "srv_addr", "srv_port", "srv_op_state", "srv_admin_state", "srv_uweight", "srv_check_state", "srv_time_since_last_change",
)  # fmt: skip


class Running(msgspec.Struct, frozen=True):
    """A server as it runs. `maint` and `drain` are those that somebody set on it, `up` what its checks made of it; `checks_off` that it has
    checks and they are switched off. `unchanged_s` is the time since it last went up or down."""

    name: str
    address: str
    port: int
    weight: int
    maint: bool = False
    drain: bool = False
    up: bool = True
    checks_off: bool = False
    unchanged_s: int = 0

    @property
    def serving(self) -> bool:
        """Whether it takes new requests."""
        return self.up and not self.maint and not self.drain and self.weight > 0


class Garbage(ValueError):
    """An answer that is not what HAProxy says."""


def read_servers_state(answer: str) -> Mapping[str, Mapping[str, Running]]:
    """The servers by backend and name. Raises `Garbage`.

    The format is version 1 of the management guide, section 9.3, `show servers state`; the columns are found by their names, since later
    versions have more of them.
    """
    lines = answer.splitlines()
    header = next((line for line in lines if line.startswith("# ")), None)
    if not lines or lines[0].strip() != "1" or header is None:
        raise Garbage(f"no state of servers: {answer[:80]!r}")
    columns = header[2:].split()
    places = {name: place for place, name in enumerate(columns)}
    if any(name not in places for name in _NEEDED):
        raise Garbage(f"unknown columns: {header[:80]!r}")
    found: dict[str, dict[str, Running]] = {}
    for line in lines[1:]:
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(" ")
        try:
            backend, server = _running(fields, places)
        except (IndexError, ValueError) as error:
            raise Garbage(f"no state of a server: {line[:80]!r}") from error
        found.setdefault(backend, {})[server.name] = server
    return found


def _running(fields: list[str], places: Mapping[str, int]) -> tuple[str, Running]:
    admin = int(fields[places["srv_admin_state"]])
    check = int(fields[places["srv_check_state"]])
    return fields[places["be_name"]], Running(
        name=fields[places["srv_name"]],
        address=shortest(fields[places["srv_addr"]]),
        port=int(fields[places["srv_port"]]),
        weight=int(fields[places["srv_uweight"]]),
        maint=bool(admin & _FORCED_MAINT) and not admin & _INHERITED_MAINT,
        drain=bool(admin & _FORCED_DRAIN),
        up=fields[places["srv_op_state"]] != "0",
        checks_off=bool(check & _CHECK_CONFIGURED) and not check & _CHECK_ENABLED,
        unchanged_s=int(fields[places["srv_time_since_last_change"]]),
    )
