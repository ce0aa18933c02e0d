"""The address under which others find the app: as it was given, or that of a network interface that was named."""

from __future__ import annotations

import fcntl
import socket
import struct

LOOPBACK = "127.0.0.1"
# Get interface address (netdevice(7)): struct ifreq is 16 bytes of name and a union of 24.
_SIOCGIFADDR = 0x8915
_IF_INET6 = "/proc/net/if_inet6"
# Scopes of if_inet6: link-local addresses (0x20) mean nothing without an interface beside them.
_GLOBAL_SCOPES = ("00", "10")


def reachable_address(given: str | None) -> str | None:
    """What others are to use for `given`: loopback for None, the address of an interface, else `given` as it is.

    An interface gives its IPv4 address, else its global IPv6 one; None when it has neither.
    """
    if given is None:
        return LOOPBACK
    if not _is_interface(given):
        return given
    return _ipv4_of(given) or _ipv6_of(given)


def _is_interface(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except (OSError, ValueError):
        return False
    return True


def _ipv4_of(interface: str) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16s24x", interface.encode()[:15])
        try:
            answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, request)
        except OSError:
            return None
    return socket.inet_ntop(socket.AF_INET, answer[20:24])


def _ipv6_of(interface: str) -> str | None:
    try:
        with open(_IF_INET6, encoding="ascii") as file:
            for line in file:
                address, _index, _prefix, scope, _flags, name = line.split()
                if name == interface and scope in _GLOBAL_SCOPES:
                    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
    except (OSError, ValueError):
        return None
    return None
