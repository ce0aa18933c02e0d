"""Access decided without sockets."""

from __future__ import annotations

import pytest

from pillion.api.access import Access, Tokens, Users, hosts_allowed
from pillion.api.route import Role
from pillion.http.server import Response

ACCESS = Access(
    Users(1000, 2000), Tokens(b"app-token", b"operator-token"), hosts_allowed(8080, ["10.0.0.1"])
)


@pytest.mark.parametrize(
    ("uid", "role"),
    [(1000, Role.OPERATOR), (0, Role.OPERATOR), (2000, Role.APP), (2001, None), (None, None)],
)
def test_users_on_the_unix_socket(uid: int | None, role: Role | None) -> None:
    found = ACCESS.on_unix(uid)
    if role is None:
        assert isinstance(found, Response)
        assert found.status == 403
    else:
        assert found is role


def test_an_app_with_the_instances_own_user_is_its_operator() -> None:
    assert Users(1000, 1000).role(1000) is Role.OPERATOR


@pytest.mark.parametrize(
    ("token", "role"),
    [
        (b"app-token", Role.APP),
        (b"operator-token", Role.OPERATOR),
        (b"app-tokem", None),
        (b"app-token ", None),
        (b"", None),
    ],
)
def test_tokens(token: bytes, role: Role | None) -> None:
    assert ACCESS.tokens.role(token) is role


def test_an_empty_token_lets_nobody_in() -> None:
    """A token file that is empty must not make the empty token valid."""
    assert Tokens(b"", b"").role(b"") is None
    found = Access(Users(1), Tokens(b"", b""), frozenset()).on_tcp(b"Bearer ", Role.APP)
    assert isinstance(found, Response)
    assert found.status == 401


@pytest.mark.parametrize(
    "host",
    [b"127.0.0.1:8080", b"localhost:8080", b"LOCALHOST:8080", b"[::1]:8080", b"10.0.0.1:8080"],
)
def test_our_hosts(host: bytes) -> None:
    assert ACCESS.host(host) is None


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"127.0.0.1",
        b"127.0.0.1:80",
        b"127.0.0.1:8080.evil",
        b"evil:8080",
        b"127.1:8080",
        b"0:8080",
    ],
)
def test_foreign_hosts(host: bytes) -> None:
    refused = ACCESS.host(host)
    assert refused is not None
    assert refused.status == 421


def test_public_needs_no_token_and_the_rest_does() -> None:
    assert ACCESS.on_tcp(None, Role.PUBLIC) is Role.PUBLIC
    refused = ACCESS.on_tcp(None, Role.APP)
    assert isinstance(refused, Response)
    assert dict(refused.headers)[b"www-authenticate"] == b'Bearer realm="pillion"'
    assert ACCESS.on_tcp(b"bEARER app-token", Role.OPERATOR) is Role.APP
