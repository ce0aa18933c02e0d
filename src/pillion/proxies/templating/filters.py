"""Values as words of a configuration, for either kind of proxy: each filter says what it takes, and refuses the rest.

A filter never repairs: a value that cannot be what it is used for is an error, and the last good version goes on serving.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pillion.proxies.templating.lines import Text
from pillion.proxies.templating.references import Member

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN = 40
# Neither of the two parsers has a rule for these, and no header, path or name should hold one.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]")
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(us|ms|s|m|h|d)?\Z")
_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_MS = 2**31 - 1
_SIZE = re.compile(r"([0-9]{1,15})([kKmMgG]?)(?:i?[bB])?\Z")
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LARGEST_SIZE = 1 << 50
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,126}\Z")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\Z")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_PATH = re.compile(r"/[A-Za-z0-9/._~!&()*+,:=@-]*\Z")
_SCALARS = (str, int, float)


class UnwritableError(ValueError):
    """A value that cannot be written as it is used; the text is the reason, and ends with what to write instead."""


def shown(value: object) -> str:
    """The value in short, for a message."""
    text = repr(str(value) if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def text_of(value: object, use: str = "a text") -> str:
    """A text or a number as text without control characters; raises `UnwritableError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, _SCALARS):
        # What is undefined says so itself.
        _raise_undefined(value)
        raise UnwritableError(f"{shown(value)} is {_kind_of(value)}, not {use}")
    text = str(value) if isinstance(value, str) else number_text(value)
    if found := _CONTROL.search(text):
        raise UnwritableError(
            f"{shown(text)} holds {found.group()!r}, which no {use.removeprefix('a ')} here can"
        )
    return text


def number_text(value: object) -> str:
    """A number, or a text that is one, in digits without an exponent."""
    if isinstance(value, str):
        try:
            value = int(value) if value.lstrip("-").isdecimal() else float(value)
        except ValueError:
            raise UnwritableError(f"{shown(value)} is no number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        _raise_undefined(value)
        raise UnwritableError(f"{shown(value)} is {_kind_of(value)}, not a number")
    if isinstance(value, float):
        if not math.isfinite(value) or abs(value) >= 1e15:
            raise UnwritableError(f"{shown(value)} is no number that a configuration can hold")
        return f"{value:.6f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))
    if abs(value) >= 1 << 63:
        raise UnwritableError("it is larger than any number in a configuration")
    return str(value)


def number(value: object, least: float | None = None, most: float | None = None) -> Text:
    """A number within bounds: `|number(1, 100)`."""
    text = number_text(value)
    if (least is not None and float(text) < least) or (most is not None and float(text) > most):
        bounds = " and ".join(
            word
            for word in (
                "" if least is None else f"at least {least}",
                "" if most is None else f"at most {most}",
            )
            if word
        )
        raise UnwritableError(f"{text} is not {bounds}")
    return Text(text)


def port(value: object) -> Text:
    """A port, 1 to 65535."""
    text = number_text(value)
    if not text.isdecimal():
        raise UnwritableError(f"{shown(value)} is no port")
    return number(text, 1, 65535)


def duration(value: object) -> Text:
    """Seconds as a number, or a text such as `500ms`, `10s`, `5m`; written as whole seconds or milliseconds."""
    text = text_of(value, "a duration")
    found = _DURATION.match(text)
    if found is None:
        raise UnwritableError(
            f'{shown(value)} is no duration; write seconds, or "500ms", "10s", "5m"'
        )
    ms = round(float(found[1]) * _UNITS_S[found[2] or "s"] * 1000)
    if ms > _LONGEST_MS:
        raise UnwritableError(f"{shown(value)} is longer than the 24 days that a proxy can wait")
    return Text(f"{ms}ms" if ms % 1000 else f"{ms // 1000}s")


def size(value: object) -> Text:
    """Bytes as a number, or a text such as `16k`, `10M`; written in bytes, or in k or m where that is exact."""
    text = text_of(value, "a size")
    found = _SIZE.match(text)
    count = int(found[1]) * _FACTORS[found[2].lower()] if found else -1
    if not 0 <= count <= _LARGEST_SIZE:
        raise UnwritableError(f'{shown(value)} is no size; write bytes, or "16k", "10M"')
    for unit in ("m", "k"):
        if count and count % _FACTORS[unit] == 0:
            return Text(f"{count // _FACTORS[unit]}{unit}")
    return Text(str(count))


def onoff(value: object) -> Text:
    """true and false as `on` and `off`."""
    if not isinstance(value, bool):
        _raise_undefined(value)
        raise UnwritableError(f"{shown(value)} is neither true nor false")
    return Text("on" if value else "off")


def host(value: object) -> Text:
    """A host's name or an IP address, an IPv6 address in brackets."""
    return Text(_host(text_of(value, "a host")))


def host_port(value: object) -> Text:
    """A member of a service, or `host:port`."""
    if isinstance(value, Member):
        return Text(f"{_host(value.address)}:{port(value.port)}")
    text = text_of(value, "host:port")
    name, colon, number_ = text.rpartition(":")
    if not colon or (name.startswith("[") != name.endswith("]")):
        raise UnwritableError(f'{shown(value)} is no address; write "host:port"')
    if ":" in name and not name.startswith("["):
        raise UnwritableError(f"{shown(value)} is no address; an IPv6 address stands in brackets")
    return Text(f"{_host(name.removeprefix('[').removesuffix(']'))}:{port(number_)}")


def bind_address(value: object) -> Text:
    """Where to listen: a port, `host:port`, or `*:port`."""
    text = text_of(value, "an address")
    if text.isdecimal():
        return Text(f"*:{port(text)}")
    if text.startswith("*:"):
        return Text(f"*:{port(text[2:])}")
    return host_port(text)


def cidr(value: object) -> Text:
    """An IP address or a network in CIDR notation."""
    text = text_of(value, "a network")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise UnwritableError(f"{shown(value)} is no network: {error}") from None
    if "%" in text:
        raise UnwritableError(f"{shown(value)} is no network")
    return Text(str(network))


def header_name(value: object) -> Text:
    """A header field's name: letters, digits and hyphens."""
    text = text_of(value, "a header's name")
    if not _HEADER.match(text):
        raise UnwritableError(f"{shown(value)} is no header's name; it is letters, digits, hyphens")
    return Text(text)


def html(value: object) -> str:
    """A text in a page: a plain text again, to be put together with others and quoted as a whole."""
    text = text_of(value)
    # The ampersand first, and $ and % for the sake of the two proxies.
    for character in "&<>\"'$%":
        text = text.replace(character, f"&#{ord(character)};")
    return text


def identifier(value: object) -> Text:
    """A name that a configuration gives itself (upstream, backend, zone): letters, digits, `_`, `.` and `-`, at most 63."""
    text = text_of(value, "a name")
    # These three have a meaning wherever HAProxy takes a name of a condition.
    if not _IDENTIFIER.match(text) or text in {"if", "or", "unless"}:
        raise UnwritableError(f"{shown(value)} cannot be a name; it is letters, digits, _ . -")
    return Text(text)


def url_path(value: object) -> Text:
    """A path beginning with `/`, of those characters that need no encoding in one (RFC 3986, section 3.3)."""
    text = text_of(value, "a path")
    if not _PATH.match(text) or "/../" in f"{text}/" or "/./" in f"{text}/":
        raise UnwritableError(
            f"{shown(value)} is no plain path; it begins with / and needs no encoding"
        )
    return Text(text)


def escaped_bytes(text: str, escape: str) -> str:
    """`text` as a regular expression for itself, what is no letter or digit as `escape` and two hex digits, in UTF-8."""
    if not text:
        raise UnwritableError("it is empty, and a regular expression of nothing matches everything")
    return "".join(
        chr(one) if chr(one).isascii() and chr(one).isalnum() else f"{escape}{one:02x}"
        for one in text.encode()
    )


def common(quote: Callable[[object], Text]) -> dict[str, Callable[..., object]]:
    """The filters that are the same for either kind; `quote` is the kind's own."""
    return {
        "bind_address": bind_address,
        "cidr": cidr,
        "duration": duration,
        "header_name": header_name,
        "host": host,
        "html": html,
        "host_port": host_port,
        "identifier": identifier,
        "number": number,
        "onoff": onoff,
        "port": port,
        "quote": quote,
        "size": size,
        "url_path": url_path,
    }


def bare(value: object, unsafe: re.Pattern[str]) -> str:
    """A value that is written without a filter: a number, or a text that is one harmless word, which `unsafe` does not find anything in."""
    if isinstance(value, bool):
        raise UnwritableError(f"{shown(value)} is true or false; write |onoff, or an if")
    if isinstance(value, int | float):
        return number_text(value)
    if not isinstance(value, str):
        _raise_undefined(value)
        raise UnwritableError(
            f"{shown(value)} is {_kind_of(value)}, which cannot be written; "
            + (
                "write |host_port"
                if isinstance(value, Member)
                else "write one of its members, or a loop"
            )
        )
    text = str(value)
    if not text:
        raise UnwritableError('it is empty, and would not be a word; write |quote for ""')
    if found := unsafe.search(text):
        raise UnwritableError(
            f"{shown(text)} holds {found.group()!r}, so it is not one plain word; write |quote, or the filter for what it is"
        )
    if found := _CONTROL.search(text):
        raise UnwritableError(f"{shown(text)} holds {found.group()!r}, which no word here can")
    return text


def _host(text: str) -> str:
    if ":" in text:
        try:
            return f"[{ipaddress.IPv6Address(text)}]" if "%" not in text else _no_host(text)
        except ValueError:
            return _no_host(text)
    if text.replace(".", "").isdecimal():
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            return _no_host(text)
    return text if is_host_name(text) else _no_host(text)


def is_host_name(text: str) -> bool:
    """Whether it can be a host's name (RFC 1123, section 2.1; underscores as they are found)."""
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(_LABEL.match(label) for label in labels)


def _no_host(text: str) -> str:
    raise UnwritableError(f"{shown(text)} is no host's name and no IP address")


def _kind_of(value: object) -> str:
    names: Mapping[type, str] = {
        list: "a list",
        tuple: "a list",
        bool: "true or false",
    }
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a table"
    return (
        "a member of a service" if isinstance(value, Member) else names.get(type(value), "no text")
    )


def _raise_undefined(value: object) -> None:
    """Have an undefined value of Jinja2's tell its own story: it raises as soon as it is asked for anything."""
    if hasattr(type(value), "_fail_with_undefined_error"):
        str(value)
