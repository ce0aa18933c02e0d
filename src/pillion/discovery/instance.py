"""One instance of a service: the shape that files, store, API and commands share, and what may stand in it.

What comes from a file of another process or from a client is checked here once, so that whoever reads the registry
(a renderer of proxy configuration among them) meets no address with a line feed in it.
"""

from __future__ import annotations

import socket
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

PASSING = "passing"
WARNING = "warning"
CRITICAL = "critical"
STATUSES = (PASSING, WARNING, CRITICAL)
USABLE = frozenset({PASSING, WARNING})
"""What a reader gets who does not ask for anything else."""

NAME_PATTERN = "^[A-Za-z0-9_][A-Za-z0-9._-]*$"
NAME_CHARACTERS = 128
RECORD_BYTES = 16 * 1024

Status: TypeAlias = Literal["passing", "warning", "critical"]
Name: TypeAlias = Annotated[str, Meta(pattern=NAME_PATTERN, max_length=NAME_CHARACTERS)]
Address: TypeAlias = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9_][A-Za-z0-9._-]*$|^[0-9A-Fa-f:.]+$",
        max_length=253,
        description="An IP address or a host name.",
    ),
]
Port: TypeAlias = Annotated[
    int, Meta(ge=0, le=65535, description="0 for an instance that listens nowhere.")
]
Weight: TypeAlias = Annotated[
    int, Meta(ge=0, le=65535, description="Its share of the traffic, beside the others'.")
]
Tag: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Tags: TypeAlias = Annotated[tuple[Tag, ...], Meta(max_length=64)]
Zone: TypeAlias = Annotated[str, Meta(max_length=128)]
MetaKey: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
MetaValue: TypeAlias = Annotated[str, Meta(max_length=1024)]
MetaData: TypeAlias = Annotated[dict[MetaKey, MetaValue], Meta(max_length=64)]


class ServiceInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One of a service's instances. `since` is RFC 3339 in UTC: when it was announced or registered as it is.

    `instance` and `run` name the Pillion instance that announces it, and are empty for a registration. `ttl_s` is the
    lease of a registration in seconds, None for one without end. `stale` marks what its lease has lost,
    but readers keep (`pillion.discovery.leases`).
    """

    id: Name
    service: Name
    address: Address
    port: Port = 0
    status: Status = "passing"
    weight: Weight = 1
    tags: Tags = ()
    zone: Zone = ""
    meta: MetaData = {}
    instance: str = ""
    run: str = ""
    since: str = ""
    ttl_s: float | None = None
    stale: bool = False

    @property
    def is_announced(self) -> bool:
        """Whether a sidecar announces it, and its keeper's lock holds it."""
        return bool(self.instance)


_decoder = msgspec.json.Decoder(ServiceInstance)
_encoder = msgspec.json.Encoder()


def encode(instance: ServiceInstance) -> bytes:
    """The instance as JSON, as it lies in a file or in the store."""
    return _encoder.encode(instance)


def decode(data: bytes) -> ServiceInstance:
    """The instance in `data`; `ValueError` for what is none, or holds what may not stand in one."""
    if len(data) > RECORD_BYTES:
        raise ValueError(f"cannot read it: more than {RECORD_BYTES} bytes")
    try:
        instance = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"cannot read it: {error}") from error
    if complaint := complaint_of(instance):
        raise ValueError(f"cannot take it: {complaint}")
    return instance


def complaint_of(instance: ServiceInstance) -> str:
    """What is wrong with an instance of the right shape; empty when nothing is."""
    for name, text in (("id", instance.id), ("service", instance.service)):
        if not _is_plain(text):
            return f"the {name} ends with a line feed"
    if not is_address(instance.address):
        return f"{instance.address!r} is no IP address or host name"
    if not all(map(str.isprintable, (instance.zone, *instance.tags))):
        return "a tag or the zone holds a control character"
    if not all(map(str.isprintable, (*instance.meta, *instance.meta.values()))):
        return "meta holds a control character"
    return ""


def is_address(text: str) -> bool:
    """Whether `text` is an IP address, or could be a host's name (RFC 1123 section 2.1)."""
    if ":" in text or text.replace(".", "").isdigit():
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
        except (OSError, ValueError):
            return False
        return True
    labels = text.removesuffix(".").split(".")
    return len(text) <= 253 and all(_is_label(label) for label in labels)


def is_name(text: str) -> bool:
    """Whether `text` can name a service or an instance of one."""
    characters = text.replace(".", "").replace("_", "").replace("-", "")
    return (
        0 < len(text) <= NAME_CHARACTERS
        and text[0] not in ".-"
        and (not characters or (characters.isascii() and characters.isalnum()))
    )


def endpoint(instance: ServiceInstance) -> str:
    """`address:port`, an IPv6 address in brackets; the address alone when there is no port."""
    address = f"[{instance.address}]" if ":" in instance.address else instance.address
    return f"{address}:{instance.port}" if instance.port else address


def _is_label(label: str) -> bool:
    characters = label.replace("-", "").replace("_", "")
    return (
        0 < len(label) <= 63
        and label[0] != "-"
        and label[-1] != "-"
        and characters.isascii()
        and characters.isalnum()
    )


def _is_plain(text: str) -> bool:
    return not text.endswith("\n")
