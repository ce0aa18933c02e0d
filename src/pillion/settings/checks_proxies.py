"""What the sections of managed proxies and of the offload say together, and with the rest of the file."""

import os

from pillion.settings.offload import OFFLOAD, Offload
from pillion.settings.problems import Finding, Path
from pillion.settings.proxies import SHIPPED, ManagedProxy
from pillion.settings.tree import Settings

COMPONENTS = ("app", "agent", "shipper", "ambassador", "keeper", "scribe", OFFLOAD)
"""Names of components that are none of a user's proxies; the ambassador's further workers are `ambassador-2` and so on."""
_OTHERS = ("directory", "pid_file", "reload", "master", "socket")
_HAPROXY_ONLY = ("master", "socket")


def proxies_contradictions(settings: Settings) -> list[Finding]:
    """Settings of these sections that cannot hold together."""
    found = []
    names: dict[str, int] = {}
    for at, proxy in enumerate(settings.proxies):
        path: Path = ("proxies", at)
        if names.setdefault(proxy.name, at) != at:
            found.append(
                Finding(
                    (*path, "name"),
                    f"cannot tell two proxies called {proxy.name} apart; rename one",
                )
            )
        found += [*_name(proxy, path), *_runner(proxy, path), *_files(proxy, path)]
        found += [*_wait(proxy, path), *_retry(proxy, path)]
    if settings.offload is not None:
        found += _offload(settings, settings.offload)
    return found


def proxies_notices(settings: Settings) -> list[Finding]:
    """Settings of these sections that few would want, and files that are not there."""
    found = []
    for at, proxy in enumerate(settings.proxies):
        path: Path = ("proxies", at)
        found += [*_unwise(proxy, path), *_missing_templates(proxy, path)]
    offload = settings.offload
    if offload is not None:
        found += _missing_of(offload)
        if offload.to == "app" and settings.inbound is not None:
            found.append(
                Finding(("offload", "to"), "what is offloaded goes past the rules of inbound")
            )
    return found


def _name(proxy: ManagedProxy, path: Path) -> list[Finding]:
    name = proxy.name.lower()
    if name not in COMPONENTS and not name.startswith("ambassador-"):
        return []
    return [
        Finding(
            (*path, "name"), f"cannot call a proxy {proxy.name}: it is another component's name"
        )
    ]


def _runner(proxy: ManagedProxy, path: Path) -> list[Finding]:
    given = [name for name in _OTHERS if getattr(proxy, name)]
    if proxy.run == "keeper":
        return [
            Finding(
                (*path, name),
                'cannot choose it for a proxy that the keeper runs; remove it, or set run = "other"',
            )
            for name in given
        ]
    found = []
    if proxy.directory is None:
        found.append(
            Finding(
                path, "cannot do without directory: where the one who runs it looks for its files"
            )
        )
    ways = ["pid_file", "reload", *(["master"] if proxy.kind == "haproxy" else [])]
    if not any(getattr(proxy, way) for way in ways):
        found.append(
            Finding(
                path,
                "cannot have it load its files without a way to tell it",
                f"{', '.join(ways[:-1])} or {ways[-1]}",
            )
        )
    if proxy.kind == "nginx":
        found += [
            Finding((*path, name), "cannot use it: nginx has no such socket")
            for name in _HAPROXY_ONLY
            if getattr(proxy, name)
        ]
    return found


def _files(proxy: ManagedProxy, path: Path) -> list[Finding]:
    if proxy.main_file not in proxy.files:
        return []
    return [
        Finding(
            (*path, "files", proxy.main_file), "cannot have a second template: template is its own"
        )
    ]


def _wait(proxy: ManagedProxy | Offload, path: Path) -> list[Finding]:
    if proxy.wait.min_s <= proxy.wait.max_s:
        return []
    return [
        Finding((*path, "wait"), "cannot wait longer at least than at most; raise max or lower min")
    ]


def _retry(proxy: ManagedProxy, path: Path) -> list[Finding]:
    if proxy.retry_initial_s <= proxy.retry_max_s:
        return []
    return [
        Finding(
            (*path, "retry_initial"),
            "cannot wait longer at first than at most; raise retry_max or lower retry_initial",
        )
    ]


def _offload(settings: Settings, offload: Offload) -> list[Finding]:
    path: Path = (OFFLOAD,)
    found = _wait(offload, path)
    if settings.app.port is None:
        found.append(
            Finding(path, "cannot stand in front of an app whose port is not known; set app.port")
        )
    if offload.to == "inbound" and settings.inbound is None:
        found.append(
            Finding((*path, "to"), "cannot go to inbound, which is not set; set [inbound]")
        )
    if offload.protected is not None and _is_within(offload.protected, offload.root):
        found.append(
            Finding(
                (*path, "protected"),
                "cannot protect what root serves to everybody; give it a directory outside of root",
            )
        )
    if offload.tls is not None and offload.tls.allowed_names:
        found.append(
            Finding(
                (*path, "tls", "allowed_names"),
                "cannot go by the names in clients' certificates: nginx does not show them; leave it to inbound",
            )
        )
    return found


def _is_within(inner: str, outer: str) -> bool:
    ours, theirs = os.path.abspath(inner), os.path.abspath(outer)
    return os.path.commonpath([ours, theirs]) == theirs


def _unwise(proxy: ManagedProxy, path: Path) -> list[Finding]:
    found = []
    if not proxy.prove:
        found.append(
            Finding(
                (*path, "prove"), "that a new version serves is then assumed, and not found out"
            )
        )
    if proxy.kind == "nginx" and not proxy.runtime_changes:
        found.append(Finding((*path, "runtime_changes"), "without effect: this is HAProxy's"))
    if (
        proxy.kind == "haproxy"
        and proxy.run == "other"
        and proxy.runtime_changes
        and not proxy.socket
    ):
        found.append(
            Finding(
                (*path, "runtime_changes"),
                "without effect until socket says where its runtime API is; every change is a reload",
            )
        )
    return found


def _missing_templates(proxy: ManagedProxy, path: Path) -> list[Finding]:
    named: list[tuple[Path, str]] = [((*path, "template"), proxy.template)]
    named += [((*path, "files", name), template) for name, template in proxy.files.items()]
    return [
        Finding(where, "no such file, as seen from here")
        for where, template in named
        # Which shipped templates there are, rendering knows.
        if not template.startswith(SHIPPED) and not os.path.exists(template)
    ]


def _missing_of(offload: Offload) -> list[Finding]:
    path: Path = (OFFLOAD,)
    found = [
        Finding((*path, name), "no such directory, as seen from here")
        for name, held in (("root", offload.root), ("protected", offload.protected))
        if held is not None and not os.path.isdir(held)
    ]
    tls = offload.tls
    if tls is not None:
        found += [
            Finding((*path, "tls", name), "no such file, as seen from here")
            for name, held in (
                ("cert_file", tls.cert_file),
                ("key_file", tls.key_file),
                ("client_ca_file", tls.client_ca_file),
            )
            if held is not None and not os.path.exists(held)
        ]
    return found
