"""A secret's version: tells two values apart, and tells nothing about either.

A plain hash would let anybody who sees it try out likely passwords. The key is derived from the operator's token, so
it is the same for every agent of a run, and the app cannot compute it.
"""

from __future__ import annotations

import hashlib

_BYTES = 12


class Versions:
    """Makes versions; `token` is the operator's, of which the key is derived."""

    def __init__(self, token: bytes) -> None:
        self._key = hashlib.blake2b(token, digest_size=32, person=b"pillion.secrets").digest()

    def of(self, name: str, value: bytes) -> str:
        """The version of `value` as the secret `name`: 24 hexadecimal digits.

        The name is part of it: two secrets with one value do not show that they are the same.
        """
        digest = hashlib.blake2b(key=self._key, digest_size=_BYTES)
        digest.update(f"{name}\0".encode())
        digest.update(value)
        return digest.hexdigest()
