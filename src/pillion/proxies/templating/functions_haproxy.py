"""What HAProxy templates write by a function: server lines, the sockets of administration, and the proof of the version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pillion.proxies.templating.filters import (
    UnwritableError,
    duration,
    host_port,
    is_host_name,
    number,
    shown,
)
from pillion.proxies.templating.filters_haproxy import quote
from pillion.proxies.templating.functions import PENDING, Asking, Pending
from pillion.proxies.templating.lines import Text
from pillion.proxies.templating.references import Member, server_name
from pillion.proxies.templating.rendered import VERSION_PLACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.proxies.templating.facts import Facts

PROOF_FRONTEND = "pillion-proof"
_LARGEST_WEIGHT = 256
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9 ._:/,@+-]*\Z")
_UNUSABLE = ("leave", "maint", "drain")


def proof(path: str, version: str = VERSION_PLACE) -> Text:
    """A frontend on a Unix socket that answers the version; a section of its own."""
    return Text(
        f"""\
frontend {PROOF_FRONTEND}
    mode http
    bind {quote(f"unix@{path}")} mode 600
    http-request set-log-level silent
    timeout client 5s
    timeout http-request 5s
    option httpclose
    http-request return status 200 content-type text/plain string {version} hdr Cache-Control no-store
"""
    )


def admin(path: str, old_workers_s: float, old_workers: int) -> Text:
    """The runtime API's socket, and bounds for workers of earlier loads; lines of `global`.

    `mworker-max-reloads` ends a worker that has outlived so many further loads, `hard-stop-after` one that takes longer.
    """
    return Text(
        f"""\
stats socket {quote(path)} mode 600 level admin expose-fd listeners
stats timeout 30s
hard-stop-after {duration(old_workers_s)}
mworker-max-reloads {number(old_workers, 1)}
"""
    )


class HaproxyFunctions:
    """Those of one rendering; `called` are the names of those that the templates call."""

    def __init__(self, facts: Facts, asking: Asking) -> None:
        self._facts = facts
        self._asking = asking
        self.called: set[str] = set()

    def table(self) -> dict[str, object]:
        """As templates have them."""
        return {
            "proof": self.proof,
            "admin": self.admin,
            "server_lines": self.server_lines,
        }

    def proof(self) -> Text:
        """See `proof`; nothing when the settings do not want it."""
        self.called.add("proof")
        return proof(self._facts.proof_path) if self._facts.proves else Text("")

    def admin(self) -> Text:
        """See `admin`."""
        self.called.add("admin")
        return admin(self._facts.admin_path, self._facts.old_workers_s, self._facts.old_workers)

    def server_lines(
        self,
        service: str | Sequence[Member | str],
        *,
        options: str = "check",
        share: float | None = None,
        unusable: str = "leave",
        prefix: str = "",
        backup: bool = False,
    ) -> Text | Pending:
        """One `server` line for each member of a service, or of a list of members and addresses; a name stays with its member.

        `options` are words of HAProxy's, from the template. `share` is the part of the backend's traffic in percent that all of them together get,
        whatever their number. Members that can take no work are left out, or are there in maintenance or drained
        (`unusable`). `prefix` goes before names.
        """
        if unusable not in _UNUSABLE:
            raise UnwritableError(f"{shown(unusable)} is not one of {', '.join(_UNUSABLE)}")
        extra = _options(options)
        if isinstance(service, str):
            found = self._asking.service(service, every=unusable != "leave")
        else:
            found = service
        if isinstance(found, Pending):
            return PENDING
        members = list(found if isinstance(found, list | tuple) else [])
        weights = _weights(members, share)
        unused = "disabled" if unusable == "maint" else ""
        lines = []
        for one, weight in zip(members, weights, strict=True):
            is_member = isinstance(one, Member)
            name = server_name(f"{prefix}{one.id if is_member else one}")
            drained = is_member and not one.is_usable and not unused
            words = [f"server {name} {host_port(one)} weight {0 if drained else weight}"]
            address = one.address if is_member else one.rpartition(":")[0]
            if is_host_name(address) and not address.replace(".", "").isdecimal():
                # A name that nobody knows at present must not keep the rest from being loaded.
                words.append("init-addr last,libc,none")
            words += [extra] if extra else []
            words += ["backup"] if backup else []
            if is_member and not one.is_usable and unused:
                words.append(unused)
            lines.append(" ".join(words))
        return Text("".join(f"{line}\n" for line in lines))


def _options(options: str) -> str:
    """Words that the template has written itself, or that are no more than words."""
    words = options.strip()
    if "\n" in words or not (isinstance(options, Text) or _PLAIN_WORDS.match(words)):
        raise UnwritableError(
            f"{shown(words)} has more than plain words in it; write it in the template, with {{% set options %}}…{{% endset %}}"
        )
    return words


def _weights(members: list[Member | str], share: float | None) -> list[int]:
    """Each one's weight, at most 256; in proportion when there are larger ones. A share counts in percent, in steps of 1/256."""
    own = [one.weight if isinstance(one, Member) else 1 for one in members]
    if share is None:
        largest = max(own, default=1)
        if largest <= _LARGEST_WEIGHT:
            return own
        return [max(1, one * _LARGEST_WEIGHT // largest) if one else 0 for one in own]
    part = float(number(share, 0, 100)) / 100 * _LARGEST_WEIGHT
    usable = [not isinstance(one, Member) or one.is_usable for one in members]
    total = sum(weight for weight, counts in zip(own, usable, strict=True) if counts) or sum(own)
    if not part or not total:
        return [0] * len(own)
    return [max(1, min(_LARGEST_WEIGHT, round(part * one / total))) if one else 0 for one in own]
