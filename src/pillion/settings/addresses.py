"""Addresses and URLs as settings hold them: checked as text, without the socket module, which a start-up would pay for."""

from __future__ import annotations

from pillion.settings.lean import NamedTuple

_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF:.")
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")

LISTEN_PATTERN = r"^(\[[0-9A-Fa-f:.]+\]|[0-9]+(\.[0-9]+){3}|localhost):[0-9]{1,5}$"
ENDPOINT_PATTERN = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
AUTHORITY_PATTERN = r"^[^/?#@,{}\s\u0080-\uffff]+$"
URL_PATTERN = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"


class Address(NamedTuple):
    """A host without brackets, and a port."""

    host: str
    port: int


def split_address(text: str) -> Address:
    """`127.0.0.1:80`, `[::1]:80` or `name:80` taken apart. Raises ValueError, saying what is wrong."""
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError("no port")
    if (
        not port_text
        or not _DIGITS.issuperset(port_text)
        or len(port_text) > 5
        or int(port_text) > 65535
    ):
        raise ValueError("the port is not a number from 0 to 65535")
    if not host:
        raise ValueError("no host")
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        if ":" not in inner or not _HEX.issuperset(inner):
            raise ValueError("not an IPv6 address between the brackets")
        return Address(inner, int(port_text))
    if ":" in host:
        raise ValueError("an IPv6 address needs brackets")
    if not _NAME.issuperset(host):
        raise ValueError("not a host name or address")
    if _DIGITS.issuperset(host.replace(".", "")) and not is_ipv4(host):
        raise ValueError("not an IPv4 address")
    return Address(host, int(port_text))


def is_ipv4(host: str) -> bool:
    """Whether `host` is four numbers from 0 to 255."""
    parts = host.split(".")
    return len(parts) == 4 and all(
        p and len(p) <= 3 and _DIGITS.issuperset(p) and int(p) <= 255 for p in parts
    )


def is_literal(host: str) -> bool:
    """Whether `host` is an address that can be bound without a resolver: IPv4, IPv6 or localhost."""
    return host == "localhost" or ":" in host or is_ipv4(host)


def is_loopback(host: str) -> bool:
    """Whether only this host can reach it."""
    return host in ("localhost", "::1") or (is_ipv4(host) and host.startswith("127."))


def check_url(text: str) -> None:
    """Raise ValueError, saying what is wrong, unless `text` is an http or https URL without credentials, query or fragment."""
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in ("http", "https"):
        raise ValueError("not an http:// or https:// URL")
    authority = rest.partition("/")[0]
    if any(c.isspace() or ord(c) < 32 for c in text):
        raise ValueError("white space in a URL")
    if "?" in rest or "#" in rest:
        raise ValueError("a query or fragment has no place here")
    if "@" in authority:
        raise ValueError("credentials in a URL end up in logs; use headers")
    if not authority:
        raise ValueError("no host")
    bare = authority if authority.startswith("[") and authority.endswith("]") else ""
    with_port = authority if ":" in authority and not bare else f"{authority}:80"
    split_address(with_port)


def check_authority(text: str) -> None:
    """Raise ValueError unless `text` can be sent as `Host`: a name or address, with a port or without (RFC 9110, section 7.2)."""
    if not text.isascii():
        raise ValueError("a host name is ASCII; write it in its xn-- form")
    if any(ord(c) < 33 or ord(c) == 127 or c in "/?#@,{}" for c in text):
        raise ValueError("not a host name or address")
