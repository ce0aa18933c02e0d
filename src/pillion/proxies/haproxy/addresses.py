"""Addresses that a new haproxy.cfg would be the first to listen on are tried before it is loaded.

`haproxy -c` binds nothing, and a reload that finds a port taken has the serving worker give its listeners up for about a second, and take them
up again (management guide, section 4): requests would fail for a version that never serves.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

import msgspec

from pillion.proxies.driver import Place
from pillion.proxies.haproxy.file import Unreadable, read_sections

_PORT_MAX = 65535
_FILE_BYTES = 8 << 20
# In a namespace or on an interface of its own an address is another one.
_ELSEWHERE = frozenset({"interface", "namespace", "transparent"})
_ANY = str(ipaddress.IPv4Address(0))
_TAKEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


class Bound(msgspec.Struct, frozen=True):
    """A TCP address that a `bind` line names, and the line."""

    host: str
    port: int
    line: int

    @property
    def address(self) -> tuple[str, int]:
        """What two of them have in common that cannot both be had."""
        return self.host, self.port


def bound_addresses(text: str) -> tuple[Bound, ...]:
    """The plain TCP addresses of the `bind` lines in `frontend` and `listen` sections; what only HAProxy can tell is left out.

    Raises `Unreadable` (of `haproxy_file`).
    """
    found: list[Bound] = []
    for section in read_sections(text):
        if section.kind not in ("frontend", "listen"):
            continue
        for line in section.lines:
            words = line.words
            if words[0] != "bind" or len(words) < 2 or not _ELSEWHERE.isdisjoint(words[2:]):
                continue
            for written in words[1].split(","):
                bound = _bound(written, line.number)
                if bound is not None:
                    found.append(bound)
    return tuple(found)


def first_taken(wanted: tuple[Bound, ...], held: tuple[Bound, ...], file: str) -> Place | None:
    """The first address of `wanted` that is not among `held` and cannot be bound now, with the reason; None when all can.

    Binds without listening, with the options that HAProxy uses, and closes at once. Does not wait.
    """
    ours = {bound.address for bound in held}
    for bound in wanted:
        if bound.address in ours:
            continue
        code = _try(bound)
        if code in _TAKEN:
            where = f"[{bound.host}]" if ":" in bound.host else bound.host
            reason = f"cannot bind {where}:{bound.port}: {os.strerror(code).lower()}"
            return Place(file, bound.line, reason)
    return None


def added_and_taken(new: str, served: str, name: str) -> Place | None:
    """The first address that the file at the path `new` adds to those of the one at `served`, and that cannot be bound; `name` is what the place
    calls the file. None also when that cannot be known. Blocks.
    """
    held = addresses_of(served) if os.path.exists(served) else ()
    return None if held is None else taken_beyond(new, held, name)


def taken_beyond(path: str, held: tuple[Bound, ...], name: str) -> Place | None:
    """The first address of the file at `path` that is not among `held`, and that cannot be bound. Blocks."""
    return first_taken(addresses_of(path) or (), held, name)


def addresses_of(path: str) -> tuple[Bound, ...] | None:
    """The addresses of the file at `path`; None when it cannot be read, or only HAProxy can. Blocks."""
    try:
        with open(path, encoding="utf-8") as file:
            return bound_addresses(file.read(_FILE_BYTES))
    except (OSError, UnicodeDecodeError, Unreadable):
        return None


def _bound(written: str, line: int) -> Bound | None:
    plain = written.removeprefix("ipv4@").removeprefix("ipv6@")
    host, colon, port = plain.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) <= _PORT_MAX:
        return None
    host = host.strip("[]")
    if host in ("", "*"):
        host = "::" if written.startswith("ipv6@") else _ANY
    try:
        return Bound(ipaddress.ip_address(host).compressed, int(port), line)
    except ValueError:
        return None


def _try(bound: Bound) -> int:
    family = socket.AF_INET6 if ":" in bound.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(bound.address)
    except OSError as error:
        # What this process may not do, HAProxy perhaps may.
        return error.errno or 0
    return 0
