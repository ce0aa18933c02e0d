"""What a user can say about the app as a service that others find."""

from __future__ import annotations

from pillion.settings.addresses import is_ipv4
from pillion.settings.kinds import Flag, Text, Whole
from pillion.settings.names import name_text
from pillion.settings.quantities import Duration
from pillion.settings.record import INSTANCE, NOTHING, Record, setting
from pillion.settings.shapes import Strings, Strmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_HOST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")
_HOST_PATTERN = r"^([A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"
_WORD_PATTERN = r"^[^,\u0000-\u0020\u007f]{1,128}$"
_HEX = frozenset("0123456789abcdefABCDEF:.")


def _check_host(text: str) -> None:
    if ":" in text:
        if text.count(":") < 2 or not _HEX.issuperset(text):
            raise ValueError("neither a name nor an address; the port is a setting of its own")
    elif not _HOST.issuperset(text):
        raise ValueError("not a host name or address")
    elif not set(text) - set("0123456789.") and not is_ipv4(text):
        raise ValueError("not an IPv4 address")


def _check_word(text: str) -> None:
    if len(text) > 128 or any(ord(c) < 33 or ord(c) == 127 or c == "," for c in text):
        raise ValueError("128 characters at most, without white space and commas")


def _check_meta(text: str) -> None:
    if not text:
        raise ValueError("it is empty")
    _check_word(text)


class Service(Record):
    """The app as others find it. It is registered when it is healthy, and only then."""

    name: str = setting(
        name_text('a name such as "shop"'),
        "Under which name others find it; without it, `app.name`. Several instances may share it.",
        default="",
        restart=INSTANCE,
        example="shop",
        also=("service",),
    )
    register: bool = setting(
        Flag(),
        "Whether it is registered at all.",
        default=True,
        also=("enabled", "registration"),
    )
    address: str | None = setting(
        Text(
            'a host name or address such as "10.0.0.7"',
            check=_check_host,
            pattern=_HOST_PATTERN,
            optional=True,
        ),
        "Where others reach it; without it, 127.0.0.1, which is right for one host.",
        default=None,
        example="10.0.0.7",
        also=("host", "hostname", "ip"),
    )
    port: int | None = setting(
        Whole(1, 65535, "a port from 1 to 65535", optional=True),
        "On which port others reach it; without it, `app.port`.",
        default=None,
        example=3000,
    )
    tags: tuple[str, ...] = setting(
        Strings(
            'a list of words such as ["v2"]',
            Text("a word", check=_check_word, pattern=_WORD_PATTERN),
        ),
        "Words by which others select among the instances.",
        default=(),
        example=["v2", "canary"],
        also=("labels",),
    )
    zone: str = setting(
        Text("a word", check=_check_word, pattern=_WORD_PATTERN),
        "Where it runs; those who ask may prefer their own zone.",
        default="",
        example="eu-central-1a",
        also=("region", "datacenter", "dc"),
    )
    drain_s: float = setting(
        Duration(0, 3600),
        "How long the app goes on once nobody finds it any more, before it is told to stop: for those who still have its address.",
        default=0.0,
        example="2s",
    )
    weight: int = setting(
        Whole(0, 65535),
        "Its share of the requests, relative to the others'; 0 is none.",
        default=1,
    )
    meta: Mapping[str, str] = setting(
        Strmap(
            'a table such as { version = "1.2" }',
            Text(empty=True),
            key_pattern=_WORD_PATTERN,
            check=_check_meta,
            numbers=True,
        ),
        "What else others may want to know.",
        default=NOTHING,
        example={"version": "1.2"},
        also=("metadata", "attributes"),
    )
