"""Where the forward proxy may go: everywhere, nowhere, or to the hosts of a list.

The decision is about the name that was asked for, in one spelling: lower case, no dot at the end,
addresses in their shortest form. A list holds what is allowed, so that a spelling which nobody
thought of is denied.
"""

import socket
from typing import Protocol

ALLOW = "allow"
DENY = "deny"
LIST = "list"


class EgressRule(Protocol):
    """The rule as the settings of the proxy hold it."""

    @property
    def egress(self) -> str:
        """`allow`, `deny` or `list`."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the list.

        A name, an address or `*.example.org` (any depth below it, not itself), with or without a
        port: `db.example.org:5432`, `[::1]:80`; `*:443` is every host on that port.
        """

    @property
    def connect_ports(self) -> tuple[int, ...]:
        """The ports that CONNECT may reach; empty: every port."""


class Egress:
    """The egress rule of the forward proxy. Services of the registry are not asked about here."""

    __slots__ = ("_connect_ports", "_exact", "_mode", "_suffixes")

    def __init__(self, rule: EgressRule) -> None:
        """Raise ValueError for a mode that there is not, and a host that is none."""
        if rule.egress not in (ALLOW, DENY, LIST):
            raise ValueError(f"cannot follow egress rule {rule.egress!r}; use allow, deny or list")
        self._mode = rule.egress
        self._connect_ports = frozenset(rule.connect_ports)
        self._exact: set[tuple[str, int]] = set()  # port 0: any
        self._suffixes: set[tuple[str, int]] = set()
        for pattern in rule.hosts:
            self._add(pattern)

    def allows(self, host: str, port: int) -> bool:
        """Return whether requests may go to `host` (with or without brackets) and `port`."""
        if self._mode == ALLOW:
            return True
        if self._mode == DENY:
            return False
        name = canonical_host(host)
        if (name, 0) in self._exact or (name, port) in self._exact:
            return True
        # Every suffix that begins with a dot, and the empty one, which is `*`.
        at = 0
        while at >= 0:
            at = name.find(".", at)
            suffix = name[at:] if at >= 0 else ""
            if (suffix, 0) in self._suffixes or (suffix, port) in self._suffixes:
                return True
            at = at + 1 if at >= 0 else -1
        return False

    def allows_connect(self, host: str, port: int) -> bool:
        """Return whether CONNECT may open a tunnel to `host` and `port`."""
        if self._connect_ports and port not in self._connect_ports:
            return False
        return self.allows(host, port)

    def _add(self, pattern: str) -> None:
        host, port = _split(pattern)
        if host == "*":
            self._suffixes.add(("", port))
        elif host.startswith("*."):
            suffix = canonical_host(host[2:])
            if not suffix or "*" in suffix:
                raise ValueError(
                    f"cannot read egress host {pattern!r}: * stands alone or as *.name"
                )
            self._suffixes.add((f".{suffix}", port))
        elif not host or "*" in host:
            raise ValueError(f"cannot read egress host {pattern!r}: * stands alone or as *.name")
        else:
            self._exact.add((canonical_host(host), port))


def canonical_host(host: str) -> str:
    """Return the one spelling of a host: lower case, no brackets, no final dot, short addresses.

    An IPv4 address within IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
    """
    name = host.lower()
    if name.startswith("["):
        name = name[1:].removesuffix("]")
    if ":" in name:
        try:
            packed = socket.inet_pton(socket.AF_INET6, name)
        except OSError:
            return name
        if packed.startswith(b"\0" * 10 + b"\xff\xff"):
            return socket.inet_ntop(socket.AF_INET, packed[12:])
        return socket.inet_ntop(socket.AF_INET6, packed)
    return name.removesuffix(".")


def split_authority(authority: str, default: int) -> tuple[str, int]:
    """Split a checked authority (`host`, `host:port`, `[v6]:port`) into host and port."""
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.startswith("[")):
        host, port = authority, str(default)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _split(pattern: str) -> tuple[str, int]:
    if pattern.count(":") > 1 and not pattern.startswith("["):
        return pattern, 0  # an IPv6 address without brackets has no port
    host, colon, port = pattern.rpartition(":")
    if not colon or pattern.endswith("]"):
        return pattern, 0
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError(f"cannot read egress host {pattern!r}: the port is not from 1 to 65535")
    return host, int(port)
