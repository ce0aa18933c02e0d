"""Where everything listens: no port twice, and what others can reach is said."""

import os

from pillion.settings.addresses import Address, is_loopback, split_address
from pillion.settings.problems import Finding, Path, dotted
from pillion.settings.tree import Settings

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 # compared, not bound


def listeners(settings: Settings) -> list[tuple[Path, str]]:
    """Every address that the sidecar is to listen on, with the setting that says so, in the order of the documentation."""
    ambassador = settings.ambassador
    said: list[tuple[Path, str | None]] = [
        (("api", "listen"), settings.api.listen),
        (("api", "probe_listen"), settings.api.probe_listen),
    ]
    if ambassador.proxy is not None:
        said.append((("ambassador", "proxy", "listen"), ambassador.proxy.listen))
    said += [
        (("ambassador", "upstreams", name, "listen"), upstream.listen)
        for name, upstream in ambassador.upstreams.items()
    ]
    if settings.inbound is not None:
        said.append((("inbound", "listen"), settings.inbound.listen))
    if settings.offload is not None:
        said.append((("offload", "listen"), settings.offload.listen))
    return [(path, text) for path, text in said if text is not None]


def listener_contradictions(settings: Settings) -> list[Finding]:
    """Two listeners on one port, or one on the app's."""
    found = []
    held: dict[int, list[tuple[Path, Address]]] = {}
    if settings.app.port is not None:
        # On which of its addresses the app listens is not known; loopback is what Pillion goes by.
        held[settings.app.port] = [(("app", "port"), Address("127.0.0.1", settings.app.port))]
    for path, text in listeners(settings):
        address = split_address(text)
        if address.port == 0:
            continue
        others = held.setdefault(address.port, [])
        for other, taken in others:
            if _meet(address, taken):
                name = dotted(other)
                message = f"cannot listen twice on one port; give it another than {name} has"
                found.append(Finding(path, message))
                break
        others.append((path, address))
    return found


def listener_notices(settings: Settings) -> list[Finding]:
    """What other hosts, or other users of this one, can reach; and files that are not there."""
    found = []
    ambassador = settings.ambassador
    proxy = ambassador.proxy
    if proxy is not None:
        path: Path = ("ambassador", "proxy")
        if not _is_closed(proxy.listen):
            how = (
                "protected by credentials that pass unencrypted"
                if proxy.credentials
                else "and whoever reaches it may use it; set credentials = true"
            )
            found.append(
                Finding(
                    (*path, "listen"),
                    f"reachable from other hosts, {how}; 127.0.0.1 is closed to them",
                )
            )
        elif not proxy.credentials:
            found.append(
                Finding((*path, "credentials"), "other users of this host can borrow the proxy")
            )
    found += [
        Finding(
            ("ambassador", "upstreams", name, "listen"),
            "reachable from other hosts, without credentials; 127.0.0.1 is closed to them",
        )
        for name, upstream in ambassador.upstreams.items()
        if upstream.listen is not None and not _is_closed(upstream.listen)
    ]
    return [*found, *_missing(settings)]


def _missing(settings: Settings) -> list[Finding]:
    files: list[tuple[Path, str | None]] = []
    for name, upstream in settings.ambassador.upstreams.items():
        if (tls := upstream.tls) is not None:
            path: Path = ("ambassador", "upstreams", name, "tls")
            files += [
                ((*path, "ca_file"), tls.ca_file),
                ((*path, "cert_file"), tls.cert_file),
                ((*path, "key_file"), tls.key_file),
            ]
    if settings.inbound is not None and (server := settings.inbound.tls) is not None:
        path = ("inbound", "tls")
        files += [
            ((*path, "cert_file"), server.cert_file),
            ((*path, "key_file"), server.key_file),
            ((*path, "client_ca_file"), server.client_ca_file),
        ]
    return [
        Finding(path, "no such file, as seen from here")
        for path, name in files
        if name is not None and not os.path.exists(name)
    ]


def _is_closed(text: str) -> bool:
    return is_loopback(split_address(text).host)


def _meet(one: Address, other: Address) -> bool:
    hosts = {"127.0.0.1" if host == "localhost" else host for host in (one.host, other.host)}
    return len(hosts) == 1 or not hosts.isdisjoint(_EVERYWHERE)
