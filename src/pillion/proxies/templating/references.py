"""What a template can ask for by name, and the members of a service as it gets them: the words that sources, templates, guard and drivers
share.
"""

from __future__ import annotations

import enum
import re
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

import msgspec

SourceKind: TypeAlias = Literal[
    "config", "tree", "service", "environment", "health", "file", "secret"
]
USABLE = frozenset({"passing", "warning"})
"""The statuses of members that are given work, as discovery has it."""

# What HAProxy takes in a server's name (its configuration manual, section 4.1, "names"), and shorter than it could be.
_SERVER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\Z")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""What a source gives for a configuration key, a file or a secret that is not there. It was asked for, and is not."""


class Reference(msgspec.Struct, frozen=True, order=True):
    """Something that a template uses. `name` is a key, the beginning of keys, a service, a path or a secret; empty for environment and health.

    What its source gives as value:

    - config: what JSON can hold, or `ABSENT`
    - tree: a dict of the keys below `name`, without it, to their values
    - service: a tuple of every `Member` there is, whatever its status, in any order; empty for a service that nobody knows
    - environment, health: a dict, as the API has it
    - file: its text, or `ABSENT`
    - secret: its text, or `ABSENT`
    """

    kind: SourceKind
    name: str = ""

    def __str__(self) -> str:
        """As messages have it: `config shop/limit`."""
        return f"{self.kind} {self.name}" if self.name else self.kind


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a service. `port` is never 0; `status` is passing, warning or critical."""

    id: str
    address: str
    port: int
    weight: int = 1
    status: str = "passing"
    zone: str = ""
    tags: tuple[str, ...] = ()

    @property
    def server_name(self) -> str:
        """Its name on a server line: the same as long as its id is, and another one for another id."""
        return server_name(self.id)

    @property
    def host_port(self) -> str:
        """Where it listens, an IPv6 address in brackets."""
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )

    @property
    def is_usable(self) -> bool:
        """Whether it is given work."""
        return self.status in USABLE


def server_name(member_id: str) -> str:
    """`member_id` itself when it can be a server's name; else what of it can, with a digest that keeps it apart from others."""
    if _SERVER_NAME.match(member_id):
        return member_id
    digest = blake2b(member_id.encode(errors="surrogatepass"), digest_size=6).hexdigest()
    return f"s{_NOT_IN_NAMES.sub('-', member_id)[:40]}-{digest}"
