"""Ports for programs that have to be told one.

Below the kernel's own range: a port from it may be that of anybody's connection a moment later, and is refused to who listens.
"""

from __future__ import annotations

import random
import socket

# Two test processes never draw the same ones in turn.
_CHANCE = random.SystemRandom()
_LEAST = 10_240


def free_port() -> int:
    """A port of the loopback that nobody has at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback, all different, that nobody has at this moment."""
    found: list[int] = []
    while len(found) < count:
        port = _CHANCE.randrange(_LEAST, _first_of_the_kernel())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _first_of_the_kernel() -> int:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    # A host that gives its connections all there is leaves us no better ones.
    return first if first > 2 * _LEAST else 1 << 15
