"""What the ambassador's workers go by: one complete snapshot of settings and endpoints, made by the agent.

A snapshot is never patched. A worker that missed some takes the next one whole, and one that starts while the agent is away begins
with the last one from the file; so no order of messages, restarts and losses leads to a policy that nobody wrote.
"""

from __future__ import annotations

import msgspec

VERSION = 1
POLICY_SOCKET = "policy.sock"
"""The agent's end, in the instance's runtime directory."""
POLICY_FILE = "ambassador.json"
"""The last snapshot, in the instance's runtime directory."""
MOST_BYTES = 16 << 20
"""A snapshot as JSON, in a message and in the file; what is longer is refused."""
APP = "app"
"""The upstream of `inbound`: the app itself."""

_UNIX = "unix:"


class EndpointSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One address of an upstream. `address` is an IP address, or `unix:` and a path (`port` is 0 then).

    `host` is the name that the address was found under (URL, DNS), for Host and SNI; empty for an instance of the registry.
    `healthy` is what registry and active checks say together; passive health is the breaker's.
    """

    id: str
    address: str
    port: int = 0
    weight: int = 1
    zone: str = ""
    healthy: bool = True
    tls: bool = False
    host: str = ""

    @property
    def key(self) -> str:
        """`address:port`, an IPv6 address in brackets; the address alone for a Unix socket. It names the endpoint in its upstream."""
        if self.address.startswith(_UNIX):
            return self.address
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )

    @property
    def unix_path(self) -> str | None:
        """The path of its Unix socket; None for one with an IP address."""
        return self.address[len(_UNIX) :] if self.address.startswith(_UNIX) else None


class UpstreamEndpoints(msgspec.Struct, frozen=True, omit_defaults=True):
    """The endpoints of one upstream, each `key` once.

    `known` is False while nobody can say which there are (a name that was never resolved, a registry that was not read yet);
    the endpoints are then the last known ones, if any, and `reason` says what is the matter. `reason` may also stand beside
    known ones: they are kept although the last look-up failed.
    """

    name: str
    endpoints: tuple[EndpointSpec, ...] = ()
    known: bool = True
    reason: str = ""


class Forced(msgspec.Struct, frozen=True):
    """What was done by hand to the breaker of `endpoint` (its key; empty: of every endpoint): `action` is open, close or auto."""

    upstream: str
    endpoint: str
    action: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a worker needs to know. `revision` grows with every change, also from one agent to the next.

    `ambassador` and `inbound` are the settings as `settings.shapes.Table.encode` gives them. `listeners` maps the name of a listening
    socket (`upstream:<name>`, `proxy`, `inbound`) to the `address:port` that it is bound to. `proxy_token` is the password
    that the proxy asks for; the snapshot must be readable by the instance's user alone. `forced` holds until it is taken back, and so
    does `overlay`, the configuration keys that were put over the settings: an agent that starts goes on from both.
    """

    v: int = VERSION
    revision: int
    ambassador: dict[str, object]
    inbound: dict[str, object] | None = None
    service: str = ""
    instance: str = ""
    zone: str = ""
    app_port: int | None = None
    listeners: dict[str, str] = {}
    upstreams: tuple[UpstreamEndpoints, ...] = ()
    proxy_token: str = ""
    forced: tuple[Forced, ...] = ()
    overlay: dict[str, object] = {}

    def endpoints(self, upstream: str) -> UpstreamEndpoints:
        """Those of one upstream; none, and not known, for a name that the snapshot does not have."""
        for one in self.upstreams:
            if one.name == upstream:
                return one
        return UpstreamEndpoints(upstream, (), known=False, reason="there is no such upstream")

    def says_the_same(self, other: Snapshot) -> bool:
        """Whether the two differ in nothing but their revisions."""
        return msgspec.structs.replace(other, revision=self.revision) == self


class _Named(msgspec.Struct):
    name: str


class RawSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A `Snapshot` whose large parts are still the bytes that came, for whoever reads them one by one, and only those that changed."""

    v: int = VERSION
    revision: int
    ambassador: msgspec.Raw = msgspec.Raw(b"{}")
    inbound: msgspec.Raw = msgspec.Raw(b"null")
    service: str = ""
    instance: str = ""
    zone: str = ""
    app_port: int | None = None
    listeners: dict[str, str] = {}
    upstreams: tuple[msgspec.Raw, ...] = ()
    proxy_token: str = ""
    forced: tuple[Forced, ...] = ()


_decoder = msgspec.json.Decoder(Snapshot)
_raw_decoder = msgspec.json.Decoder(RawSnapshot)
_name_decoder = msgspec.json.Decoder(_Named)
_upstream_decoder = msgspec.json.Decoder(UpstreamEndpoints)
_encoder = msgspec.json.Encoder()


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as JSON, as it is in the file."""
    return _encoder.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """The snapshot in `data`; `ValueError` for what is none, is too long, or is of another version."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"cannot take a snapshot of more than {MOST_BYTES} bytes")
    try:
        snapshot = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"cannot read the snapshot: {error}") from error
    if snapshot.v != VERSION:
        raise ValueError(f"cannot read version {snapshot.v} of the snapshot, only {VERSION}")
    return snapshot


def decode_raw(data: bytes) -> RawSnapshot:
    """The snapshot in `data`, its large parts unread; `ValueError` as for `decode`, where it is seen without reading them."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"cannot take a snapshot of more than {MOST_BYTES} bytes")
    try:
        snapshot = _raw_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"cannot read the snapshot: {error}") from error
    if snapshot.v != VERSION:
        raise ValueError(f"cannot read version {snapshot.v} of the snapshot, only {VERSION}")
    return snapshot


def decode_upstream(piece: msgspec.Raw) -> UpstreamEndpoints:
    """One of a raw snapshot's upstreams. Raises `msgspec.DecodeError`."""
    return _upstream_decoder.decode(piece)


def steered(raw: RawSnapshot) -> tuple[UpstreamEndpoints, ...]:
    """Of a raw snapshot the upstreams of which something is done by hand. Raises `msgspec.DecodeError`."""
    names = {one.upstream for one in raw.forced}
    if not names:
        return ()
    return tuple(
        decode_upstream(piece)
        for piece in raw.upstreams
        if _name_decoder.decode(piece).name in names
    )


def read_file(path: str) -> Snapshot | None:
    """The snapshot in the file at `path`; None when there is no file.

    Raises `ValueError` for what is no snapshot, and `OSError` when the file cannot be read.
    """
    data = _contents(path)
    return None if data is None else decode(data)


def read_raw(path: str) -> RawSnapshot | None:
    """As `read_file`, the large parts unread."""
    data = _contents(path)
    return None if data is None else decode_raw(data)


def _contents(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
