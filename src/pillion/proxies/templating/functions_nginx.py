"""What nginx templates write by a function: upstreams, the proof of the version, and bounds for old workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.proxies.templating.filters import (
    UnwritableError,
    duration,
    host_port,
    identifier,
    number,
    shown,
    size,
)
from pillion.proxies.templating.filters_nginx import quote
from pillion.proxies.templating.functions import PENDING, Asking, Pending
from pillion.proxies.templating.lines import Text
from pillion.proxies.templating.references import Member
from pillion.proxies.templating.rendered import VERSION_PLACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.proxies.templating.facts import Facts

_BALANCES = ("round_robin", "least_conn", "ip_hash", "random")
PROOF_HOST = "pillion-proof"


def proof(path: str, version: str = VERSION_PLACE) -> Text:
    """A server on a Unix socket that answers the version, to be put into `http`.

    A connection is closed after its answer, so that whoever asks again asks the newest worker.
    """
    return Text(
        f"""\
server {{
    listen {quote(f"unix:{path}")};
    server_name {PROOF_HOST};
    access_log off;
    keepalive_timeout 0;
    default_type text/plain;
    add_header Cache-Control no-store always;
    return 200 {version};
}}
"""
    )


def bounds(old_workers_s: float) -> Text:
    """How long workers of an earlier load may take, to be put outside of every block."""
    return Text(f"worker_shutdown_timeout {duration(old_workers_s)};\n")


class NginxFunctions:
    """Those of one rendering; `called` are the names of those that the templates call."""

    def __init__(self, facts: Facts, asking: Asking) -> None:
        self._facts = facts
        self._asking = asking
        self._has_empty = False
        self.called: set[str] = set()

    def table(self) -> dict[str, object]:
        """As templates have them."""
        return {"proof": self.proof, "bounds": self.bounds, "upstream": self.upstream}

    def proof(self) -> Text:
        """See `proof`; nothing when the settings do not want it."""
        self.called.add("proof")
        return proof(self._facts.proof_path) if self._facts.proves else Text("")

    def bounds(self) -> Text:
        """See `bounds`."""
        self.called.add("bounds")
        return bounds(self._facts.old_workers_s)

    def upstream(
        self,
        name: str,
        service: str | Sequence[Member | str],
        *,
        balance: str = "round_robin",
        hash_key: str = "",
        keepalive: int = 32,
        keepalive_timeout: object = "60s",
        max_fails: int = 1,
        fail_timeout: object = "10s",
        max_conns: int = 0,
        zone: object = "128k",
        backup: Sequence[Member | str] = (),
    ) -> Text | Pending:
        """An `upstream` block of a service's members, or of a list of members and addresses, to be put into `http`.

        `hash_key` is an nginx variable such as `$remote_addr`, and balances by it. `keepalive` is how many idle connections each worker
        keeps. Without members it leads to a server of its own that answers 503.
        """
        found = self._asking.service(service) if isinstance(service, str) else service
        if isinstance(found, Pending):
            return PENDING
        servers = list(found if isinstance(found, list | tuple) else [])
        lines = [f"zone {identifier(name)} {size(zone)};"]
        lines += _balance(balance, hash_key)
        options = f" max_fails={number(max_fails, 0)} fail_timeout={duration(fail_timeout)}"
        options += f" max_conns={number(max_conns, 0)}" if max_conns else ""
        lines += [
            f"server {host_port(one)}{_weight(one)}{options};" for one in servers if _takes(one)
        ]
        before = ""
        if len(lines) == 1 + bool(_balance(balance, hash_key)):
            lines = [lines[0], f"server {quote(f'unix:{self._facts.empty_path}')};"]
            before = self._empty()
        elif backup and not hash_key and balance not in {"ip_hash", "random"}:
            lines += [f"server {host_port(one)}{options} backup;" for one in backup]
        if keepalive:
            lines += [
                f"keepalive {number(keepalive, 1)};",
                f"keepalive_timeout {duration(keepalive_timeout)};",
            ]
        body = "".join(f"    {line}\n" for line in lines)
        return Text(f"{before}upstream {identifier(name)} {{\n{body}}}\n")

    def _empty(self) -> str:
        """The server behind every upstream without members, once."""
        if self._has_empty:
            return ""
        self._has_empty = True
        return f"""\
server {{
    listen {quote(f"unix:{self._facts.empty_path}")};
    server_name pillion-empty;
    access_log off;
    add_header Retry-After 5 always;
    return 503;
}}
"""


def _balance(balance: str, hash_key: str) -> list[str]:
    if hash_key:
        name = hash_key.removeprefix("$").strip("{}")
        if (
            not hash_key.startswith("$")
            or not name.replace("_", "").isalnum()
            or not name.isascii()
        ):
            raise UnwritableError(
                f'{shown(hash_key)} is no variable; write hash_key="$remote_addr"'
            )
        return [f"hash ${{{name}}} consistent;"]
    if balance not in _BALANCES:
        raise UnwritableError(
            f"{shown(balance)} is no way to balance; write one of {', '.join(_BALANCES)}"
        )
    return [] if balance == "round_robin" else [f"{balance};"]


def _takes(one: Member | str) -> bool:
    # nginx has no weight of 0: who is to get nothing is left out.
    return not isinstance(one, Member) or one.weight > 0


def _weight(one: Member | str) -> str:
    return f" weight={one.weight}" if isinstance(one, Member) and one.weight != 1 else ""
