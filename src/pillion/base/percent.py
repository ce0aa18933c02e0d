"""Percent-encoding (RFC 3986, section 2.1), without the whole of `urllib.parse`, which a start would wait for."""

from __future__ import annotations

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def percent_encoded(text: str, safe: bytes = b"") -> str:
    """`text` in UTF-8 with every byte escaped that is neither unreserved nor in `safe`."""
    kept = _UNRESERVED.union(safe)
    return "".join(chr(byte) if byte in kept else f"%{byte:02X}" for byte in text.encode())
