# cython: annotation_typing=False, auto_pickle=False
"""Text inside a JSON record: escaped so that any reader gets one line and the same characters, and cut within a bound."""

from types import FunctionType

MARK = "…"
"""Ends a text that was cut."""

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


# Changes every byte that does not stand for itself; what is not changed comes back as the same object.
_UNSAFE = bytes(
    code if 32 <= code < 127 and code not in (34, 92) else 128 + (code == 128)
    for code in range(256)
)


def is_plain(text: str) -> bool:
    """Return whether this stands in a JSON string as it is: printable ASCII without quotation marks and backslashes."""
    if not text.isascii():
        return False
    data = text.encode()
    return data.translate(_UNSAFE) is data


def are_plain(
    method: str, host: str, path: str, query: str, peer: str, reason: str, note: str
) -> bool:
    """Return whether each of the texts of a record is plain."""
    if COMPILED:
        return (
            _plain_by_char(method)
            and _plain_by_char(host)
            and _plain_by_char(path)
            and _plain_by_char(query)
            and _plain_by_char(peer)
            and _plain_by_char(reason)
            and _plain_by_char(note)
        )
    return is_plain(f"{method}{host}{path}{query}{peer}{reason}{note}")


def _plain_by_char(text: str) -> bool:
    for char in text:  # noqa: SIM110 - compiled, this is a loop in C and no generator
        if char < " " or char > "~" or char == '"' or char == "\\":
            return False
    return True


def quoted(text: str, most_bytes: int) -> str:
    """Return `text` for the inside of a JSON string, of at most `most_bytes` of UTF-8 and the mark when it was cut.

    What does not print is escaped as well, so that a record shown on a terminal does nothing there. Half of a surrogate pair,
    as undecodable bytes become in Python, is written out, since it has no place in JSON (RFC 8259 section 8.2).
    """
    if len(text) <= most_bytes and is_plain(text):
        return text
    pieces: list[str] = []
    left = most_bytes
    # A character has at least one byte, so a longer text is not even looked at.
    for char in text[: most_bytes + 1]:
        piece = char if char.isprintable() else _unprintable(char)
        piece = _ESCAPES.get(char, piece)
        left -= len(piece) if piece.isascii() else len(piece.encode())
        if left < 0:
            pieces.append(MARK)
            break
        pieces.append(piece)
    return "".join(pieces)


def _unprintable(char: str) -> str:
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        return f"\\\\u{code:04x}"
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


COMPILED = not isinstance(is_plain, FunctionType)
