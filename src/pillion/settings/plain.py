"""Values of `--set` that are written as most are, read without tomllib: it compiles what it needs, and every start would wait for that.

What is not certain here is left to tomllib, which has the last word.
"""

from __future__ import annotations

_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NUMERIC = frozenset("0123456789abcdefABCDEFxo_.+-:tTzZ \t")
"""All that numbers, dates and times are written with that begin with a digit (TOML 1.0); of the point they have one at most."""
_KEYWORDS = ("true", "false", "inf", "nan")
_BLANK = " \t"
_MOST_DIGITS = 18


def plain_value(text: str) -> object | None:
    """The value that TOML gives one line of `text`: a truth, a whole number, a string, or a list of them. None for any other."""
    found = _value(text, 0)
    if found is None or text[found[1] :].strip(_BLANK):
        return None
    return found[0]


def is_words(text: str) -> bool:
    """Whether it is certain that one line of `text` is no value of TOML, but words such as 10s, 512M and always."""
    if text[:1] in _LETTERS:
        # The only values that begin with a letter.
        return not text.startswith(_KEYWORDS)
    if text[:1] not in _DIGITS or "#" in text:
        return False
    return text.count(".") > 1 or not _NUMERIC.issuperset(text)


def _value(text: str, at: int) -> tuple[object, int] | None:
    """The value that begins at `at`, and where it ends."""
    first = text[at : at + 1]
    if first == '"':
        return _string(text, at + 1)
    if first == "[":
        return _list(text, at + 1)
    end = at
    while end < len(text) and text[end] not in " \t,]":
        end += 1
    word = text[at:end]
    if word in ("true", "false"):
        return word == "true", end
    digits = word.removeprefix("-")
    if not digits or not _DIGITS.issuperset(digits) or len(digits) > _MOST_DIGITS:
        return None
    return None if digits[0] == "0" and digits != "0" else (int(word), end)


def _string(text: str, at: int) -> tuple[str, int] | None:
    """A basic string after its quote; of its escapes those with four digits, which our own overrides are written with."""
    if text.startswith('""', at):
        return None
    parts = ""
    while True:
        end = at
        while end < len(text) and text[end] not in '"\\' and " " <= text[end] != "\x7f":
            end += 1
        parts += text[at:end]
        if text[end : end + 1] == '"':
            return parts, end + 1
        digits = text[end + 2 : end + 6]
        if text[end : end + 2] != "\\u" or len(digits) != 4 or not _HEX.issuperset(digits):
            return None
        code = int(digits, 16)
        if 0xD800 <= code <= 0xDFFF:
            return None
        parts += chr(code)
        at = end + 6


def _list(text: str, at: int) -> tuple[list[object], int] | None:
    """A list after its bracket, not of lists."""
    found: list[object] = []
    while True:
        at = _behind_blanks(text, at)
        if text[at : at + 1] == "]":
            return found, at + 1
        one = None if text[at : at + 1] == "[" else _value(text, at)
        if one is None:
            return None
        found.append(one[0])
        at = _behind_blanks(text, one[1])
        mark = text[at : at + 1]
        if mark not in (",", "]"):
            return None
        at += mark == ","


def _behind_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at
