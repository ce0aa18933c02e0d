"""The forward proxy's credentials, so that other users of the host cannot borrow it.

They are the instance's own secret, given to the app within `http_proxy`; clients send them back as
Basic credentials (RFC 7617) in Proxy-Authorization (RFC 9110 section 11.7.1).
"""

import binascii
from hmac import compare_digest
from typing import Final

USER: Final = "pillion"
CHALLENGE: Final = b'Basic realm="pillion", charset="UTF-8"'
"""The value of Proxy-Authenticate beside a 407."""

_LONGEST = 1024


class Credentials:
    """Checks Proxy-Authorization against one token, in a time that does not depend on it."""

    __slots__ = ("_expected", "_token")

    def __init__(self, token: str) -> None:
        """An empty token fits nothing."""
        self._token = token.encode()
        self._expected = b"Basic " + basic(token)

    def check(self, value: bytes | None) -> bool:
        """Return whether `value`, of the field Proxy-Authorization, carries the token.

        The name of the user is `pillion`; clients that send none or another are let in all the same,
        since the token alone is secret.
        """
        if value is None or not self._token:
            return False
        if compare_digest(value, self._expected):
            return True
        return compare_digest(_password(value), self._token)


def basic(token: str) -> bytes:
    """Return the credentials of a Basic Proxy-Authorization, without the scheme's name."""
    return binascii.b2a_base64(f"{USER}:{token}".encode(), newline=False)


def _password(value: bytes) -> bytes:
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"basic" or len(rest) > _LONGEST:
        return b""
    try:
        decoded = binascii.a2b_base64(rest.strip(b" "), strict_mode=True)
    except binascii.Error:
        return b""
    return decoded.partition(b":")[2]
