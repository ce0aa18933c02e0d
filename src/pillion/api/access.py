# cython: annotation_typing=False, auto_pickle=False
"""Who may do what: decided from the listener, the peer's user, the token and the Host, without I/O.

On the Unix socket the kernel says who is there. On TCP a token does, and the Host field must name us:
a page that a browser loaded from elsewhere can reach 127.0.0.1 under its own name (DNS rebinding), but
cannot change that name in the request.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from pillion.api.problems import problem
from pillion.api.route import Role
from pillion.http.codec.names import AUTHORIZATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.http.server.messages import Request, Response

UNIX = "unix"
TCP = "tcp"
PROBE = "probe"

_LOOPBACK_NAMES = (b"127.0.0.1", b"localhost", b"[::1]")
_BEARER = b"bearer "
_PUBLIC, _APP, _OPERATOR = Role.PUBLIC, Role.APP, Role.OPERATOR


class Users:
    """User ids that the Unix socket lets in: our own and root as operators, the app's as the app."""

    __slots__ = ("app", "own")

    def __init__(self, own: int, app: int | None = None) -> None:
        self.own = own
        self.app = app

    def role(self, uid: int | None) -> Role | None:
        """The role of a peer with `uid`, None for a stranger or one without credentials."""
        if uid is None:
            return None
        if uid == self.own or not uid:
            return _OPERATOR
        return _APP if uid == self.app else None


class Tokens:
    """The bearer tokens of the instance; an empty one is none and fits nothing."""

    __slots__ = ("app", "operator")

    def __init__(self, app: bytes = b"", operator: bytes = b"") -> None:
        self.app = app
        self.operator = operator

    def role(self, token: bytes) -> Role | None:
        """The role of `token`, None for a wrong one. Takes the same time whichever it is."""
        is_operator = compare_digest(self.operator, token) and bool(token)
        is_app = compare_digest(self.app, token) and bool(token)
        if is_operator:
            return _OPERATOR
        return _APP if is_app else None


def hosts_allowed(port: int, names: Iterable[str] = ()) -> frozenset[bytes]:
    """The Host values that mean us on `port`: the loopback names, and `names` that were configured."""
    wanted = [*_LOOPBACK_NAMES, *(name.lower().encode() for name in names)]
    return frozenset(name + b":%d" % port for name in wanted)


class Access:
    """The rules of one instance. `hosts` are the Host values that the TCP listener answers to."""

    __slots__ = ("hosts", "tokens", "users")

    def __init__(self, users: Users, tokens: Tokens, hosts: frozenset[bytes]) -> None:
        self.users = users
        self.tokens = tokens
        self.hosts = hosts

    def on_unix(self, uid: int | None) -> Role | Response:
        """The role of a peer on the Unix socket, or the refusal."""
        role = self.users.role(uid)
        if role is not None:
            return role
        return problem(
            403,
            f"cannot serve user {uid} here: the socket is for user {self.users.own}, root and the app's "
            "own user; use the TCP listener with a token",
        )

    def role_of(self, request: Request) -> Role:
        """The role of a request that was let in."""
        if request.listener == UNIX:
            return self.users.role(request.peer.uid) or _PUBLIC
        authorization = request.headers.known(AUTHORIZATION) or b""
        if request.listener == PROBE or authorization[:7].lower() != _BEARER:
            return _PUBLIC
        return self.tokens.role(authorization[7:].strip(b" ")) or _PUBLIC

    def host(self, authority: bytes) -> Response | None:
        """The refusal of a foreign Host on TCP, None when it is ours (RFC 9110 section 7.4: 421)."""
        if authority in self.hosts or authority.lower() in self.hosts:
            return None
        return problem(
            421,
            "cannot answer for this Host: it names another server than this one; "
            "use the address in PILLION_URL",
        )

    def on_tcp(self, authorization: bytes | None, needed: Role) -> Role | Response:
        """The role that the Authorization field gives on TCP, or the refusal (RFC 6750 section 3)."""
        if needed is _PUBLIC:
            return _PUBLIC
        if authorization is None or authorization[:7].lower() != _BEARER:
            return _unauthorised(
                b'Bearer realm="pillion"',
                "cannot do this without a token: send Authorization: Bearer $PILLION_TOKEN",
            )
        role = self.tokens.role(authorization[7:].strip(b" "))
        if role is None:
            return _unauthorised(
                b'Bearer realm="pillion", error="invalid_token"',
                "cannot accept this token: it is not one of this instance; use PILLION_TOKEN as it is now",
            )
        return role


def too_low(role: Role, needed: Role) -> Response:
    """The refusal of one who is known, but may not do this (RFC 6750 section 3.1: insufficient_scope)."""
    challenge = b'Bearer realm="pillion", error="insufficient_scope", scope="operator"'
    return problem(
        403,
        f"cannot do this as {role.name.lower()}: it is for the {needed.name.lower()}; use the Unix socket as "
        "the instance's user or root, or the token in operator.token",
        headers=[(b"www-authenticate", challenge)],
    )


def _unauthorised(challenge: bytes, detail: str) -> Response:
    return problem(401, detail, headers=[(b"www-authenticate", challenge)])
