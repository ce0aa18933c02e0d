"""Names and dates of certificates: whom a verified one belongs to, and until when one that we present is good.

The standard library tells the names of a peer's certificate, but nothing of our own; for the dates the few fields before
them are stepped over by hand (RFC 5280 section 4.1), as that is all there is to read.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
_MOST_NAMES = 64


def names_of(peercert: Mapping[str, object] | None) -> tuple[str, ...]:
    """Return the names in what `SSLSocket.getpeercert` gives of a verified certificate.

    SAN URIs first, then SAN DNS names in lower case; the last CN only where there is neither (RFC 6125 section 6.4.4). At most 64.
    """
    if not peercert:
        return ()
    uris: list[str] = []
    hosts: list[str] = []
    for kind, name in _pairs(peercert.get("subjectAltName")):
        if kind == "URI":
            uris.append(name)
        elif kind == "DNS":
            hosts.append(name.lower())
    if uris or hosts:
        return tuple((uris + hosts)[:_MOST_NAMES])
    common = ""
    subject = peercert.get("subject")
    for part in subject if isinstance(subject, tuple) else ():
        for kind, name in _pairs(part):
            if kind == "commonName":
                common = name
    return (common,) if common else ()


def is_allowed(names: Iterable[str], allowed: Iterable[str]) -> bool:
    """Whether one of a certificate's names is in the list.

    An entry is a name as it stands, `*.example.org` for one label before it, or a URI that ends with `/*` for everything below.
    Host names are compared without regard to case, URIs with.
    """
    patterns = tuple(allowed)
    return any(_matches(name, pattern) for name in names for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    if "://" in pattern:
        if pattern.endswith("/*"):
            return name.startswith(pattern[:-1]) and len(name) >= len(pattern)
        return name == pattern
    if "://" in name:
        return False
    name, pattern = name.lower(), pattern.lower()
    if pattern.startswith("*."):
        label, dot, rest = name.partition(".")
        return bool(label and dot) and label != "*" and rest == pattern[2:]
    return name == pattern


def not_after(der: bytes) -> datetime.datetime:
    """Return until when a certificate is good, in UTC. Raise ValueError for what is no certificate."""
    try:
        tag, body, _ = _element(der, 0)
        _expect(tag, _SEQUENCE)
        tag, body, _ = _element(body, 0)
        _expect(tag, _SEQUENCE)
        at = 0
        tag, _, after = _element(body, at)
        if tag == _VERSION:
            at = after
        for _ in range(3):  # serial number, signature, issuer
            _, _, at = _element(body, at)
        tag, validity, _ = _element(body, at)
        _expect(tag, _SEQUENCE)
        _, _, at = _element(validity, 0)
        tag, text, _ = _element(validity, at)
        return _time(tag, text)
    except IndexError:
        raise ValueError("cannot read the certificate: it is cut off") from None


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return tag, content and end of the DER element at `at` (X.690 section 8.1)."""
    tag = data[at]
    length = data[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise ValueError("cannot read the certificate: invalid length")
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    if at + length > len(data):
        raise ValueError("cannot read the certificate: it is cut off")
    return tag, data[at : at + length], at + length


def _expect(tag: int, wanted: int) -> None:
    if tag != wanted:
        raise ValueError("cannot read the certificate: invalid structure")


def _time(tag: int, text: bytes) -> datetime.datetime:
    """RFC 5280 section 4.1.2.5: UTCTime until 2049 with two digits of the year, GeneralizedTime later; both end with Z."""
    digits = text.decode("ascii", "replace")
    if tag == _UTC_TIME and len(digits) == 13:
        digits = ("19" if digits >= "5" else "20") + digits
    elif tag != _GENERALIZED_TIME:
        raise ValueError("cannot read the certificate: invalid date")
    return datetime.datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC)


def _pairs(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, tuple):
        return []
    return [
        (pair[0], pair[1])
        for pair in value
        if isinstance(pair, tuple)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], str)
    ]
