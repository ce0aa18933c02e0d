"""The servers that a haproxy.cfg asks for, with everything that holds for each of them said in one place.

Pure: `default-server` lines are worked in, since a server that is added at run time does not get them (management guide, `add server`), and
whatever run time cannot express is recognised here, before anything is tried.
"""

from __future__ import annotations

import ipaddress
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.haproxy.file import PROXIES, Line, Section, defaults_of, read_sections
from pillion.proxies.haproxy.keywords import RESOLVING, RUN_TIME, Options, read_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WEIGHT_MAX = 256
_DYNAMIC = frozenset({"roundrobin", "leastconn", "random"})
_HASHES = ("source", "uri", "url_param", "hdr", "rdp-cookie", "hash")
# What the command line interface takes as one word without any quoting of its own.
_SAYABLE = re.compile(r"[A-Za-z0-9_.:@/,%+=*()\[\]{}|&!?~^ -]+\Z")
_NAME = re.compile(r"[A-Za-z0-9_.:-]+\Z")
_PORT_MAX = 65535
# Sample fetches that point to a server (configuration manual, section 7.3.2).
_FETCHES = re.compile(r"\bsrv_[a-z_]+\(([^(),]+)\)")


class Server(msgspec.Struct, frozen=True):
    """A server as the file wants it. `address` is an IP address in its shortest form and `port` is not 0, unless only HAProxy can tell
    what the address means: then `address` is what is written, and `port` is 0.

    `options` is everything else in a fixed order, without weight and `disabled` (`maint`). `fixed` says why run time can neither add it nor
    take it away; empty when it can.
    """

    name: str
    address: str
    port: int
    weight: int
    maint: bool
    options: tuple[str, ...]
    fixed: str = ""
    governed: bool = False

    @property
    def literal(self) -> bool:
        """Whether the address is an IP address and a port."""
        return self.port > 0

    @property
    def checked(self) -> bool:
        """Whether HAProxy checks its health."""
        return "check" in self.options

    @property
    def serving(self) -> bool:
        """Whether it takes new requests, as far as the file says."""
        return not self.maint and self.weight > 0

    def add_command(self, backend: str) -> str:
        """The words that add it at run time; it is in maintenance then, and its checks are off."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        words = (f"{host}:{self.port}", "weight", str(self.weight), *_POOL, *self.options)
        return f"add server {backend}/{self.name} {' '.join(_escaped(word) for word in words)}"


# A server of the file has these from birth; one that is added has zeros, and so opens a connection for each request. They come first, so
# that they do not override what is asked for.
_POOL = ("pool-purge-delay", "5s", "pool-max-conn", "-1")


class Backend(msgspec.Struct, frozen=True):
    """A `backend` or `listen` with its servers by name. `fixed` says why no server can come or go at run time, `fixed_weights` why no
    weight can change; `governed` that its servers cannot be told from the file at all (`server-template`)."""

    name: str
    servers: Mapping[str, Server] = MappingProxyType({})
    fixed: str = ""
    fixed_weights: str = ""
    governed: bool = False


class Configuration(msgspec.Struct, frozen=True):
    """What a file says: its backends by name, and everything else as words, for comparing."""

    backends: Mapping[str, Backend]
    frame: tuple[tuple[tuple[str, ...], ...], ...]


def read_configuration(text: str) -> Configuration:
    """Read a haproxy.cfg that HAProxy itself has accepted. Raises `Unreadable` (of `haproxy_file`) for what only HAProxy understands."""
    sections = read_sections(text)
    defaults = defaults_of(sections)
    backends: dict[str, Backend] = {}
    frame: list[tuple[tuple[str, ...], ...]] = []
    named = _named(line for section in sections for line in section.lines)
    for position, section in enumerate(sections):
        lines = section.lines
        if section.kind in PROXIES:
            backends[section.name] = _backend(section, defaults.get(position), named)
            lines = tuple(line for line in lines if line.words[0] != "server")
        head = (section.kind, section.name, section.origin)
        frame.append((head, *(line.words for line in lines)))
    return Configuration(backends, tuple(frame))


def same_frame(old: Configuration, new: Configuration) -> str:
    """Empty when both differ in `server` lines of the same backends only; else what differs, by its place."""
    if old.frame == new.frame:
        return ""
    for before, after in zip(old.frame, new.frame, strict=False):
        if before != after:
            kind, name, _ = after[0]
            return f"the section {kind} {name}".rstrip() + " changes in more than its servers"
    return "there are other sections than before"


def shortest(address: str) -> str:
    """An IP address in the form in which two can be compared; what is none, as it is."""
    try:
        return ipaddress.ip_address(address).compressed
    except ValueError:
        return address


def _backend(section: Section, defaults: Section | None, named: frozenset[str]) -> Backend:
    inherited = defaults.lines if defaults is not None else ()
    both = (*inherited, *section.lines)
    fixed_weights = _static_balance(both)
    fixed = fixed_weights or _fixed(both)
    preset = [line.words[1:] for line in inherited if line.words[0] == "default-server"]
    wanted = [line for line in section.lines if line.words[0] in ("server", "default-server")]
    servers: dict[str, Server] = {}
    tracked: set[str] = set()
    for line in wanted:
        if line.words[0] == "default-server":
            preset.append(line.words[1:])
        elif len(line.words) > 2:
            options = read_options(*preset, line.words[3:])
            server = _server(line, options, named)
            servers[server.name] = server
            tracked.update(word.rpartition("/")[2] for word in options.known.get("track", ()))
    for name in tracked & servers.keys():
        servers[name] = msgspec.structs.replace(servers[name], fixed="another server tracks it")
    return Backend(
        name=section.name,
        servers=servers,
        fixed=fixed or ("" if _NAME.match(section.name) else "its name cannot be said at run time"),
        fixed_weights=fixed_weights,
        governed=any(line.words[0] == "server-template" for line in section.lines),
    )


def _server(line: Line, options: Options, named: frozenset[str]) -> Server:
    name, written = line.words[1], line.words[2]
    address, port = _address(written)
    weight = options.known.pop("weight", ("1",))[0]
    maint = options.known.pop("disabled", None) is not None
    options.known.pop("enabled", None)
    governed = any(word in options.known for word in ("agent-check", "track"))
    if port:
        for word in RESOLVING:
            options.known.pop(word, None)
    fixed = _unsayable(name, options, bool(port)) or ("a rule names it" if name in named else "")
    number = int(weight) if weight.isdecimal() and int(weight) <= WEIGHT_MAX else -1
    return Server(
        name, address, port, number, maint, options.flat,
        fixed or ("" if number >= 0 else "its weight is no plain number"), governed,
    )  # fmt: skip


def _unsayable(name: str, options: Options, literal: bool) -> str:
    if not _NAME.match(name):
        return "its name cannot be said at run time"
    if not literal:
        return "its address is not an IP address with a port"
    if options.rest:
        return f"run time does not take its {options.rest[0]}"
    for keyword in options.known:
        if keyword not in RUN_TIME:
            return f"run time does not take its {keyword}"
        if not all(_SAYABLE.match(value) for value in options.known[keyword]):
            return f"its {keyword} cannot be said at run time"
    return ""


def _address(written: str) -> tuple[str, int]:
    plain = written.removeprefix("ipv4@").removeprefix("ipv6@")
    host, _, port = plain.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= len("65535") else 0
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return written, 0
    return (address.compressed, number) if 0 < number <= _PORT_MAX else (written, 0)


def _static_balance(lines: Iterable[Line]) -> str:
    """Why the balance algorithm takes no other servers; the last line on it holds."""
    balance, hash_type = "roundrobin", "map-based"
    for line in lines:
        if line.words[0] == "balance" and len(line.words) > 1:
            balance = line.words[1].partition("(")[0]
        elif line.words[0] == "hash-type" and len(line.words) > 1:
            hash_type = line.words[1]
    if (
        balance in _DYNAMIC
        or balance == "first"
        or (balance in _HASHES and hash_type == "consistent")
    ):
        return ""
    how = f"{balance} with hash-type {hash_type}" if balance in _HASHES else balance
    return f"balance {how} takes no other servers at run time"


def _fixed(lines: Iterable[Line]) -> str:
    for line in lines:
        first = line.words[0]
        if first == "balance" and line.words[1:2] == ("first",):
            return "balance first goes by the order of the file"
        if first in ("cookie", "dynamic-cookie-key"):
            return f"{first} binds clients to its servers"
        if first == "server-template":
            return "its servers come from a server-template"
    return ""


def _named(lines: Iterable[Line]) -> frozenset[str]:
    """The servers that rules point to, in whichever backend; HAProxy does not let these go."""
    found: set[str] = set()
    for line in lines:
        if line.words[0] == "use-server" and len(line.words) > 1:
            found.add(line.words[1])
        elif line.words[0] != "server":
            for word in line.words:
                found.update(name.rpartition("/")[2] for name in _FETCHES.findall(word))
    return frozenset(found)


def _escaped(word: str) -> str:
    return word.replace(" ", "\\ ")
