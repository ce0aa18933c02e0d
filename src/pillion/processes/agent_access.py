"""Who may use this agent's API: read once from the instance's files, the settings and the bound socket."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from pillion.api.access import Access, Tokens, Users, hosts_allowed
from pillion.errors import PillionError
from pillion.keeper.places import APP_TOKEN, OPERATOR_TOKEN

if TYPE_CHECKING:
    import socket

    from pillion.model.place import Place
    from pillion.settings import Settings


def read_access(place: Place, settings: Settings, tcp: socket.socket | None) -> Access:
    """The rules of this instance. Without a TCP socket no Host is ever right.

    Raises `PillionError` when a token cannot be read: an API that nobody can use is no API.
    """
    users = Users(os.geteuid(), uid_of(settings.app.user))
    tokens = Tokens(_token(place.runtime(APP_TOKEN)), _token(place.runtime(OPERATOR_TOKEN)))
    return Access(users, tokens, _hosts(tcp))


def uid_of(user: str | None) -> int | None:
    """The user id of a name or number; None for none, or for one that this host does not know."""
    if user is None:
        return None
    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None  # the keeper has refused to start the app, and says so


def _token(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4096).strip()
    except OSError as error:
        raise PillionError(
            f"cannot read the token {path}: {error.strerror}; restart the instance to have it written anew"
        ) from error


def _hosts(tcp: socket.socket | None) -> frozenset[bytes]:
    if tcp is None:
        return frozenset()
    address: tuple[str, int] = tcp.getsockname()[:2]
    host, port = address
    # An address that was bound on purpose beside loopback is a name of ours as well.
    return hosts_allowed(port, [f"[{host}]" if ":" in host else host])
