"""How values are written in an HAProxy configuration, as its own reader takes them apart.

HAProxy splits at blanks, and knows both quotes, the backslash and `#` (its manual, section 2.2); between single quotes nothing has a meaning
but the quote. A word may then be read as a format, where `%` begins a variable or an expression (section 8.2.4), or as a pattern, where a flag
begins with `-` (section 7.1): values that would be taken for these are refused.
"""

from __future__ import annotations

import re

from pillion.proxies.templating import filters
from pillion.proxies.templating.filters import UnwritableError, escaped_bytes, shown, text_of
from pillion.proxies.templating.lines import Text

_UNSAFE = re.compile(r"""[\s"'`;{}#$\\%]|^-[A-Za-z-]\Z|^!|^(?:\|\||or)\Z""")
# Whole words that rules and conditions give a meaning to even between quotes, since quotes are gone by then.
_WORDS = re.compile(r"(?:[{}!]|\|\||or|if|unless|-[A-Za-z-])\Z")
_LONGEST = 8000


def bare(value: object) -> str:
    """A value that no filter has seen."""
    return filters.bare(value, _UNSAFE)


def quote(value: object) -> Text:
    """A text between single quotes: one word, which is not read as a format either."""
    text = text_of(value)
    if "%" in text:
        raise UnwritableError(
            f"{shown(text)} holds a percent sign, which begins a variable in a format; write |format_text there, |regex in a pattern"
        )
    return _quoted(text)


def format_text(value: object) -> Text:
    """A text where HAProxy takes a format (`set-header`, `http-request return … lf-string`): one word, with each `%` doubled."""
    return _quoted(text_of(value).replace("%", "%%"))


def regex(value: object) -> Text:
    """A regular expression that matches this text and no other, to be put into a larger one that stands without quotes."""
    text = escaped_bytes(text_of(value), "\\\\x")
    if len(text) > _LONGEST:
        raise UnwritableError(f"{shown(value)} is too long for a regular expression")
    return Text(text)


def host_suffix(value: object) -> Text:
    """The end of hosts' names, with the dot before it: `.shop.example`."""
    text = text_of(value, "the end of a name")
    if not text.startswith(".") or not filters.is_host_name(text[1:]):
        raise UnwritableError(f"{shown(value)} is no end of a host's name; write *.shop.example")
    return Text(text)


def _quoted(text: str) -> Text:
    if _WORDS.match(text):
        raise UnwritableError(
            f"{shown(text)} has a meaning of its own in rules and conditions; write |regex"
        )
    if len(text.encode()) > _LONGEST:
        raise UnwritableError(f"{shown(text)} is longer than {_LONGEST} bytes")
    return Text("'" + text.replace("'", "'\\''") + "'")


FILTERS = {
    **filters.common(quote),
    "format_text": format_text,
    "host_suffix": host_suffix,
    "regex": regex,
}
"""What templates of this kind have."""
