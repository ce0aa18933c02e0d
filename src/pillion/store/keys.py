"""What may be a key and a value, and which keys begin with a prefix: the same for every engine, so that none accepts what another cannot."""

from __future__ import annotations

from pillion.store.interface import KEY_BYTES, VALUE_BYTES

_FIRST_SURROGATE, _LAST_SURROGATE, _LAST_CHARACTER = 0xD800, 0xDFFF, 0x10FFFF


def check_key(key: str) -> None:
    """Raise `ValueError` unless `key` is 1 to 1024 bytes of UTF-8 without control characters."""
    if not key:
        raise ValueError("cannot use an empty key; name it, for example shop/price")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"cannot use the key {key!r}: it is no Unicode text") from None
    if size > KEY_BYTES:
        raise ValueError(
            f"cannot use the key {key[:32]}…: it has {size} bytes, and {KEY_BYTES} are the most"
        )
    if not key.isprintable() and any(character < " " or character == "\x7f" for character in key):
        raise ValueError(f"cannot use the key {key!r}: it has control characters")


def check_value(key: str, value: bytes) -> None:
    """Raise `ValueError` when `value` has more bytes than a store takes."""
    if len(value) > VALUE_BYTES:
        raise ValueError(
            f"cannot write {key}: the value has {len(value)} bytes, and {VALUE_BYTES} are the most; "
            "keep it in a file and store its path"
        )


def prefix_end(prefix: str) -> str | None:
    """The first key, in the order of UTF-8 bytes, after all that begin with `prefix`; None when there is no such end."""
    rest = prefix
    while rest:
        code = ord(rest[-1]) + 1
        if code <= _LAST_CHARACTER:
            if _FIRST_SURROGATE <= code <= _LAST_SURROGATE:
                code = _LAST_SURROGATE + 1
            return rest[:-1] + chr(code)
        rest = rest[:-1]
    return None
