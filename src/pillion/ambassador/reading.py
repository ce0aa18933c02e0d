"""A snapshot as a worker reads it: over several turns of its loop, and of all its pieces only those that are new.

What a piece says is kept by its bytes, so that the settings and endpoints that did not change are the same objects as before: whoever
comes after us sees by that what there is to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from pillion.settings.ambassador import Ambassador
from pillion.settings.edges import Inbound
from pillion.settings.kinds import UnfitError
from pillion.settings.shapes import Table
from pillion.settings.tables import inner_table
from pillion.settings.upstreams import Upstream

from .snapshot import APP, UpstreamEndpoints, decode_upstream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pillion.settings.record import Record

    from .snapshot import RawSnapshot

RECORDS_IN_A_ROW = 4
"""Settings of upstreams and routes that are read in one turn; Python reads one in some 50 µs."""
KEPT_IN_A_ROW = 200
"""Those that are known already, and are found by their bytes."""
BYTES_IN_A_ROW = 32768
"""Endpoints that are read in one turn; of one upstream all at once."""

_AMBASSADOR = Table(Ambassador())
_INBOUND = Table(Inbound())
_pieces = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that was read. `endpoints` are by the names of their upstreams; `owners` are the settings of all of these, those of
    services that nobody has configured and of the app among them. `secure` are those that TLS is spoken with.
    """

    revision: int
    settings: Ambassador
    inbound: Inbound | None
    zone: str
    app_port: int | None
    listeners: dict[str, str]
    proxy_token: str
    endpoints: dict[str, UpstreamEndpoints]
    secure: frozenset[str]
    owners: dict[str, Upstream]


class Reader:
    """Reads one snapshot after the other, and remembers the pieces of the last one."""

    def __init__(self) -> None:
        self._said = b""
        self._settings = Ambassador()
        self._records: dict[tuple[str, bytes], Record] = {}
        self._front: tuple[bytes, Inbound | None] = (b"null", None)
        # With each, whether one of its endpoints wants TLS.
        self._endpoints: dict[bytes, tuple[UpstreamEndpoints, bool]] = {}
        self._services: dict[str, Upstream] = {}
        self._app: tuple[Inbound | None, int | None, Upstream] | None = None

    def steps(self, raw: RawSnapshot) -> Generator[None, None, Policy]:
        """Read it, with a turn for others at every yield. Raises UnfitError, and ValueError for what is no JSON of ours."""
        try:
            settings = yield from self._read_settings(raw.ambassador)
            inbound = self._read_inbound(raw.inbound)
            endpoints, secure = yield from self._read_endpoints(raw.upstreams)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"cannot read the snapshot: {error}") from error
        yield
        owners = yield from self._owners(settings, inbound, raw.app_port, endpoints)
        return Policy(
            revision=raw.revision,
            settings=settings,
            inbound=inbound,
            zone=raw.zone,
            app_port=raw.app_port,
            listeners=raw.listeners,
            proxy_token=raw.proxy_token,
            endpoints=endpoints,
            secure=frozenset(
                name
                for name, one in owners.items()
                if name != APP and (name in secure or one.tls is not None)
            ),
            owners=owners,
        )

    def _read_settings(self, raw: msgspec.Raw) -> Generator[None, None, Ambassador]:
        said = bytes(raw)
        if said == self._said:
            return self._settings
        parts = _pieces.decode(raw)
        upstreams, routes = parts.pop("upstreams", None), parts.pop("routes", None)
        yield
        named = {} if upstreams is None else _pieces.decode(upstreams)
        numbered = [] if routes is None else _list.decode(routes)
        yield
        kept: dict[tuple[str, bytes], Record] = {}
        records = yield from self._read_records("upstreams", named.items(), kept)
        specs = yield from self._read_records("routes", enumerate(numbered), kept)
        base = _AMBASSADOR.decode({name: _any.decode(part) for name, part in parts.items()})
        settings = base.replace(upstreams=dict(records), routes=tuple(one for _, one in specs))
        self._said, self._settings, self._records = said, cast("Ambassador", settings), kept
        return self._settings

    def _read_records(
        self,
        what: str,
        pieces: Iterable[tuple[str | int, msgspec.Raw]],
        kept: dict[tuple[str, bytes], Record],
    ) -> Generator[None, None, list[tuple[str, Record]]]:
        table = inner_table(_AMBASSADOR.member(what))
        assert table is not None
        records = []
        left = RECORDS_IN_A_ROW
        for at, (name, piece) in enumerate(pieces, 1):
            key = (what, bytes(piece))
            found = self._records.get(key) or kept.get(key)
            if not left or at % KEPT_IN_A_ROW == 0:
                left = RECORDS_IN_A_ROW
                yield
            if found is None:
                left -= 1
                try:
                    found = table.decode(_any.decode(piece))
                except UnfitError as unfit:
                    raise UnfitError(f"{what}: {name}: {unfit.message}", unfit.expected) from unfit
            kept[key] = found
            records.append((str(name), found))
        return records

    def _read_inbound(self, raw: msgspec.Raw) -> Inbound | None:
        said = bytes(raw)
        if said != self._front[0]:
            value = _any.decode(raw)
            found = None if value is None else cast("Inbound", _INBOUND.decode(value))
            self._front = (said, found)
        return self._front[1]

    def _read_endpoints(
        self, pieces: tuple[msgspec.Raw, ...]
    ) -> Generator[None, None, tuple[dict[str, UpstreamEndpoints], set[str]]]:
        endpoints: dict[str, UpstreamEndpoints] = {}
        secure: set[str] = set()
        kept: dict[bytes, tuple[UpstreamEndpoints, bool]] = {}
        size = 0
        for piece in pieces:
            said = bytes(piece)
            size += len(said)
            if size > BYTES_IN_A_ROW:
                size = len(said)
                yield
            found = self._endpoints.get(said)
            if found is None:
                one = decode_upstream(piece)
                found = one, any(spec.tls for spec in one.endpoints)
            kept[said] = found
            one, wants_tls = found
            if endpoints.setdefault(one.name, one) is one and wants_tls:
                secure.add(one.name)
        self._endpoints = kept
        return endpoints, secure

    def _owners(
        self,
        settings: Ambassador,
        inbound: Inbound | None,
        app_port: int | None,
        endpoints: dict[str, UpstreamEndpoints],
    ) -> Generator[None, None, dict[str, Upstream]]:
        owners = dict(settings.upstreams)
        services = {}
        for at, name in enumerate(endpoints):
            if at % 100 == 99:
                yield
            # Services that nobody has configured, but the proxy may be asked for.
            if name not in owners and name != APP:
                services[name] = self._services.get(name) or Upstream(service=name)
        self._services = services
        owners.update(services)
        if inbound is not None and app_port is not None:
            app = self._app
            if app is None or app[0] is not inbound or app[1] != app_port:
                app = self._app = (inbound, app_port, inbound.upstream(app_port))
            owners[APP] = app[2]
        return owners
