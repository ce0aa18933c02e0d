"""The URLs of upstreams: which schemes there are, and what each says. Text alone is looked at; nothing is resolved."""

from __future__ import annotations

from pillion.settings.addresses import split_address
from pillion.settings.kinds import Text
from pillion.settings.lean import NamedTuple

UPSTREAM_URL_PATTERN = r"^((https?|tcp)://[^/?#@\s]+/?|unix:(//)?/[^?#\s]+)$"
_PORTS = {"http": 80, "https": 443, "tcp": 0}
_LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path (unix(7)): 108 with the NUL at its end."""


class UpstreamUrl(NamedTuple):
    """A URL taken apart. `host` is without brackets; for `unix` it is empty, the port 0, and `path` the socket's."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What `Host` says for it: without the scheme's own port, and with brackets around IPv6; `localhost` for `unix`."""
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def split_upstream_url(text: str) -> UpstreamUrl:
    """`http://host`, `https://host:port`, `tcp://host:port` or `unix:/path` taken apart. Raises ValueError, saying what is wrong."""
    if any(ord(c) < 33 or ord(c) == 127 for c in text):
        raise ValueError("white space in a URL")
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"))
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in _PORTS:
        raise ValueError("neither http://, https://, tcp:// nor unix:")
    authority, slash, path = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise ValueError("a query or fragment has no place here")
    if "@" in authority:
        raise ValueError("credentials in a URL end up in logs; set a header in a route")
    if path or (slash and scheme == "tcp"):
        raise ValueError("a path has no place here; a route's rewrite puts one in front")
    if not authority:
        raise ValueError("no host")
    bare = authority.endswith("]") or ":" not in authority
    if bare and scheme == "tcp":
        raise ValueError("no port")
    host, port = split_address(f"{authority}:{_PORTS[scheme]}" if bare else authority)
    if port == 0:
        raise ValueError("port 0 cannot be connected to")
    return UpstreamUrl(scheme, host, port, "")


def _unix(rest: str) -> UpstreamUrl:
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if not path.startswith("/") or path.startswith("//") or len(path) < 2:
        raise ValueError("a socket needs an absolute path: unix:/run/orders.sock")
    if "?" in path or "#" in path:
        raise ValueError("a query or fragment has no place here")
    if len(path.encode(errors="surrogatepass")) > _LONGEST_SOCKET:
        raise ValueError(f"a socket's path has {_LONGEST_SOCKET} bytes at most")
    return UpstreamUrl("unix", "", 0, path)


class UpstreamAddress(Text):
    """Where an upstream is: an http, https or tcp URL, or a Unix socket."""

    def __init__(self) -> None:
        super().__init__(
            'a URL such as "http://10.0.0.7:3000", "https://api.example.org", "tcp://db:5432" or "unix:/run/orders.sock"',
            check=_check_url,
            pattern=UPSTREAM_URL_PATTERN,
        )


def _check_url(text: str) -> None:
    split_upstream_url(text)
