"""How nginx and HAProxy take a configuration apart into words, written after their own readers: what escapes a filter shows as a further word."""

from __future__ import annotations


class BrokenError(Exception):
    """What the reader would refuse."""


def nginx_words(text: str) -> list[list[str]]:
    """The directives of a text as `ngx_conf_read_token` reads them; `{` and `}` are words of their own."""
    found: list[list[str]] = []
    words: list[str] = []
    at = 0
    while at < len(text):
        one = text[at]
        if one in " \t\r\n":
            at += 1
        elif one == "#":
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
        elif one in ";{}":
            if one != ";":
                words.append(one)
            found.append(words)
            words = []
            at += 1
        else:
            word, at = _nginx_word(text, at)
            words.append(word)
    if words:
        raise BrokenError(f"no end after {words}")
    return found


def _nginx_word(text: str, at: int) -> tuple[str, int]:
    quote = text[at] if text[at] in "\"'" else ""
    at += bool(quote)
    raw = ""
    while at < len(text):
        one = text[at]
        if one == "\\" and at + 1 < len(text):
            raw += text[at : at + 2]
            at += 2
            continue
        if quote and one == quote:
            if at + 1 < len(text) and text[at + 1] not in " \t\r\n;{)":
                raise BrokenError("something follows a quote")
            return _nginx_unescaped(raw), at + 1
        if not quote and (one in " \t\r\n;" or (one == "{" and not raw.endswith("$"))):
            return _nginx_unescaped(raw), at
        raw += one
        at += 1
    raise BrokenError("no end of a word")


def _nginx_unescaped(raw: str) -> str:
    made = ""
    at = 0
    while at < len(raw):
        pair = raw[at : at + 2]
        if len(pair) == 2 and pair[0] == "\\" and pair[1] in "\"'\\trn":
            made += {"t": "\t", "r": "\r", "n": "\n"}.get(pair[1], pair[1])
            at += 2
        else:
            made += raw[at]
            at += 1
    return made


def haproxy_words(text: str) -> list[list[str]]:
    """The words of each line as HAProxy reads them (its manual, section 2.2)."""
    return [words for line in text.split("\n") if (words := _haproxy_line(line))]


def _haproxy_line(line: str) -> list[str]:
    words: list[str] = []
    word: str | None = None
    quote = ""
    at = 0
    while at < len(line):
        one = line[at]
        at += 1
        if quote == "'":
            quote, word = ("", word) if one == "'" else (quote, (word or "") + one)
        elif one == "\\":
            following = line[at : at + 1]
            at += 1
            if following == "x":
                word = (word or "") + chr(int(line[at : at + 2], 16))
                at += 2
            else:
                word = (word or "") + {"n": "\n", "r": "\r", "t": "\t"}.get(following, following)
        elif one == quote:
            quote = ""
        elif not quote and one in "\"'":
            quote = one
            word = word or ""
        elif quote:
            if one == "$":
                raise BrokenError("an environment variable")
            word = (word or "") + one
        elif one.isascii() and one.isspace():
            words += [] if word is None else [word]
            word = None
        elif one == "#":
            break
        else:
            word = (word or "") + one
    if quote:
        raise BrokenError("a quote without an end")
    return [*words, word] if word is not None else words
