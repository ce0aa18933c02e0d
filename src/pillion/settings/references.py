"""The kinds of text that point at something: addresses, URLs, accounts, patterns."""

# ruff: noqa: D102 # the base class says what each method promises

from __future__ import annotations

from pillion.settings.addresses import (
    ENDPOINT_PATTERN,
    LISTEN_PATTERN,
    URL_PATTERN,
    check_url,
    is_literal,
    split_address,
)
from pillion.settings.kinds import Schema, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Listen(Text):
    """Where to listen: an address that needs no resolver, or "off" where that is possible."""

    def __init__(self, *, off: bool = True) -> None:
        super().__init__(
            'an address such as "127.0.0.1:0" (port 0: any free one)'
            + (', or "off"' if off else ""),
            check=_check_listen,
            pattern=LISTEN_PATTERN,
            optional=off,
            none_words=("off", "") if off else (),
        )


class Endpoint(Text):
    """Whom to connect to: `host:port`, or a bare port on this host."""

    def __init__(
        self,
        expected: str = 'host:port such as "127.0.0.1:5432", or a port of this host',
        *,
        check: Callable[[str], None] | None = None,
        pattern: str = ENDPOINT_PATTERN,
    ) -> None:
        super().__init__(expected, check=check or _check_endpoint, pattern=pattern, optional=True)

    def parse(self, value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
            return f"127.0.0.1:{value}"
        return super().parse(value)

    def plain_schema(self) -> Schema:
        return {
            "anyOf": [super().plain_schema(), {"type": "integer", "minimum": 1, "maximum": 65535}]
        }


class HttpTarget(Text):
    """What is asked by HTTP: a path on the app's port, or an http URL."""

    def __init__(self) -> None:
        super().__init__(
            'a path such as "/healthz", or an http:// URL',
            check=_check_http,
            pattern="^(/|http://)",
            optional=True,
        )


class Url(Text):
    """An http or https URL without credentials."""

    def __init__(self) -> None:
        super().__init__(
            'a URL such as "http://127.0.0.1:4318", or "off"',
            check=check_url,
            pattern=URL_PATTERN,
            optional=True,
            none_words=("off",),
        )


class Pattern(Text):
    """A regular expression of Python's `re`, checked by compiling it."""

    def __init__(self) -> None:
        super().__init__("a regular expression", check=_check_pattern)


class Account(Text):
    """A user or group, by name or number."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"a {what} name or number",
            check=_check_account,
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$",
            optional=True,
        )

    def parse(self, value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
            return str(value)
        return super().parse(value)

    def plain_schema(self) -> Schema:
        return {
            "anyOf": [
                super().plain_schema(),
                {"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1},
            ]
        }


def _check_listen(text: str) -> None:
    if not is_literal(split_address(text).host):
        raise ValueError("a name would need a resolver; give an address, or localhost")


def _check_endpoint(text: str) -> None:
    if split_address(text).port == 0:
        raise ValueError("port 0 cannot be connected to")


def _check_pattern(text: str) -> None:
    import re  # keeps its cost out of starts that have no pattern

    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(str(error)) from error


def _check_account(text: str) -> None:
    name = text.removesuffix("$")
    if (
        not name
        or not all(c.isascii() and (c.isalnum() or c in "_.-") for c in name)
        or name[0] in ".-"
    ):
        raise ValueError("not a valid name")


def _check_path(text: str) -> None:
    if (
        not text.startswith("/")
        or text.startswith("//")
        or any(c.isspace() or ord(c) < 33 for c in text)
    ):
        raise ValueError("a path begins with one / and has no white space")


def _check_http(text: str) -> None:
    if text.startswith("/"):
        _check_path(text)
    elif text.startswith("http://"):
        check_url(text)
    else:
        raise ValueError("neither a path nor an http:// URL")
