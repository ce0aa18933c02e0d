"""Where a request has been before: each way in of an ambassador leaves its token in one field, and knows it when it comes back.

Via (RFC 9110 section 7.6.3) is not used for it: servers act on it (NGINX compresses nothing for who sends one), and whoever is on the
way may join its entries, or rename them, so that nobody can rely on finding its own.
"""

from __future__ import annotations

from hashlib import blake2b

from .answers import OwnAnswer

FIELD = b"pillion-via"
MOST = 16
"""Tokens in one request, ours included."""
_DIGITS = 8
_HEX = b"0123456789abcdef"


def token_of(run: str, listener: str) -> bytes:
    """The token of one way in: the same in all workers of a run, and another one in every other run.

    It can be told from others, and nothing else can be learned from it. Whoever sends it on purpose is refused that request.
    """
    return blake2b(f"{run}\0{listener}".encode(), digest_size=_DIGITS // 2).hexdigest().encode()


def line_of(token: bytes) -> bytes:
    """The field of a request that has been nowhere else."""
    return b"%b: %b\r\n" % (FIELD, token)


def continued(value: bytes, token: bytes) -> bytes:
    """The field of a request that came with this value; one that is no list of tokens is not sent on."""
    tokens = _tokens(value)
    return line_of(b", ".join([*tokens[: MOST - 1], token]))


def refusal(value: bytes, token: bytes) -> OwnAnswer | None:
    """What a request is answered that came with this value; None: it may go on."""
    tokens = _tokens(value)
    if token in tokens:
        why = "it has been here before; look where the upstreams on its way point"
    elif len(tokens) >= MOST:
        why = f"it has been in {MOST} ambassadors"
    else:
        return None
    return OwnAnswer("loop-detected", f"cannot send this on: {why}")


def _tokens(value: bytes) -> list[bytes]:
    tokens = [one.strip(b" \t") for one in value.split(b",")]
    fit = all(len(one) == _DIGITS and not one.translate(None, _HEX) for one in tokens)
    return tokens if fit else []
