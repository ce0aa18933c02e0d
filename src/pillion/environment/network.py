"""Addresses by interface, asked of the kernel over rtnetlink(7): one dump of addresses, one of links."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from pillion.environment.facts import Interface

if TYPE_CHECKING:
    from collections.abc import Iterator

# struct nlmsghdr: length, type, flags, sequence, port.
_HEADER = struct.Struct("=IHHII")
# struct ifaddrmsg: family, prefix length, flags, scope, interface.
_ADDRESS = struct.Struct("=BBBBI")
# struct ifinfomsg: family, padding, type, interface, flags, change.
_LINK = struct.Struct("=BBHiII")
_ATTRIBUTE = struct.Struct("=HH")
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWADDR, _RTM_GETADDR = 16, 18, 20, 22
_REQUEST_DUMP = 0x1 | 0x300
_IFF_UP = 1
_IFLA_IFNAME = 3
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_FAMILIES = {socket.AF_INET: 4, socket.AF_INET6: 16}
_TIMEOUT_S = 1.0
_MOST_BYTES = 4 << 20
_MOST_INTERFACES = 256
_MOST_ADDRESSES = 64


def parse_interfaces(dump: bytes) -> list[Interface]:
    """Interfaces that are up and have addresses, from RTM_NEWLINK and RTM_NEWADDR messages in any order."""
    names: dict[int, str] = {}
    addresses: dict[int, list[str]] = {}
    for kind, body in _messages(dump):
        if kind == _RTM_NEWLINK and len(body) >= _LINK.size:
            _, _, _, index, flags, _ = _LINK.unpack_from(body)
            name = _attributes(body, _LINK.size).get(_IFLA_IFNAME)
            if name and flags & _IFF_UP:
                names[index] = name.rstrip(b"\0").decode("utf-8", "replace")
        elif kind == _RTM_NEWADDR and len(body) >= _ADDRESS.size:
            family, prefix, _, _, index = _ADDRESS.unpack_from(body)
            told = _attributes(body, _ADDRESS.size)
            # On a point-to-point link the address is the peer's, and the local one is ours.
            raw = told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS) or b""
            if len(raw) == _FAMILIES.get(family):
                text = f"{socket.inet_ntop(family, raw)}/{prefix}"
                addresses.setdefault(index, []).append(text)
    return [
        Interface(name=names[index], addresses=found[:_MOST_ADDRESSES])
        for index, found in list(addresses.items())[:_MOST_INTERFACES]
        if index in names
    ]


def interfaces() -> list[Interface]:
    """The interfaces of this network namespace; none when the kernel does not tell."""
    try:
        return parse_interfaces(_ask(_RTM_GETLINK) + _ask(_RTM_GETADDR))
    except OSError:
        return []


def _ask(kind: int) -> bytes:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_TIMEOUT_S)
        request = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0).ljust(_LINK.size, b"\0")
        header = _HEADER.pack(_HEADER.size + len(request), kind, _REQUEST_DUMP, 1, 0)
        sock.send(header + request)
        dump = b""
        while len(dump) < _MOST_BYTES:
            part = sock.recv(1 << 17)
            dump += part
            if any(end in (_NLMSG_DONE, _NLMSG_ERROR) for end, _ in _messages(part)):
                break
        return dump


def _messages(dump: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(dump):
        length, kind, _, _, _ = _HEADER.unpack_from(dump, at)
        if length < _HEADER.size or at + length > len(dump):
            return
        yield kind, dump[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            break
        found[kind] = body[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found
