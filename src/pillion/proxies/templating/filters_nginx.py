"""How values are written in an nginx configuration, as its own reader takes them apart.

nginx splits at white space, `;`, `{` and `}`, takes `#` at the beginning of a word as a comment, and knows both quotes and the backslash
(`ngx_conf_read_token`). Inside quotes it still replaces `$name`, and there is no way to write a dollar that it does not: a value that
holds one is refused.
"""

from __future__ import annotations

import re

from pillion.proxies.templating import filters
from pillion.proxies.templating.filters import UnwritableError, escaped_bytes, shown, text_of
from pillion.proxies.templating.lines import Text

# A word that begins with ~ is a regular expression in server_name, map, location and valid_referers.
_UNSAFE = re.compile(r"""[\s"'`;{}#$\\]|^~""")
_LONGEST = 3800
"""nginx reads 4096 bytes at a time, and refuses a word that is longer ("too long parameter")."""


def bare(value: object) -> str:
    """A value that no filter has seen."""
    return filters.bare(value, _UNSAFE)


def quote(value: object) -> Text:
    """A text between double quotes: one word, whatever is in it."""
    text = text_of(value)
    if "$" in text:
        raise UnwritableError(
            f"{shown(text)} holds a dollar, which nginx would take for a variable; write variables in the template, or |regex"
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if len(escaped.encode()) > _LONGEST:
        raise UnwritableError(
            f"{shown(text)} is longer than {_LONGEST} bytes, which nginx cannot read"
        )
    return Text(f'"{escaped}"')


def map_key(value: object) -> Text:
    """A source value of `map`, between quotes: no name that has a meaning there, and no regular expression.

    ngx_http_map_module: "If a source value matches one of names of special parameters …, it should be prefixed by the backslash".
    """
    text = text_of(value)
    return quote(f"\\{text}") if text else quote(text)


def regex(value: object) -> Text:
    """A regular expression that matches this text and no other, to be put into a larger one, with or without quotes around it."""
    text = escaped_bytes(text_of(value), "\\x")
    if len(text) > _LONGEST:
        raise UnwritableError(f"{shown(value)} is too long for a regular expression")
    return Text(text)


def server_name(value: object) -> Text:
    """A name for `server_name`: a host's name, `*.example.com`, or `.example.com`."""
    text = text_of(value, "a server's name")
    name = text.removeprefix("*").removeprefix(".") if text[:2] == "*." or text[:1] == "." else text
    if not filters.is_host_name(name):
        raise UnwritableError(
            f"{shown(value)} is no server's name; write shop.example or *.shop.example"
        )
    return Text(text)


FILTERS = {
    **filters.common(quote),
    "map_key": map_key,
    "regex": regex,
    "server_name": server_name,
}
"""What templates of this kind have."""
