"""What settings say together: contradictions, which refuse the file, and notices, which a careful reader would want to hear."""

from pillion.settings.addresses import is_loopback, split_address
from pillion.settings.checks_ambassador import ambassador_contradictions, ambassador_notices
from pillion.settings.checks_infrastructure import (
    infrastructure_contradictions,
    infrastructure_notices,
)
from pillion.settings.checks_listeners import listener_contradictions, listener_notices
from pillion.settings.checks_proxies import proxies_contradictions, proxies_notices
from pillion.settings.problems import Finding
from pillion.settings.telemetry import FILE_REFERENCE
from pillion.settings.tree import Settings

_SECRET_HEADERS = ("authorization", "api-key", "x-api-key", "cookie")
_LEAST_SIDECAR_BYTES = 48 << 20


def contradictions(settings: Settings) -> list[Finding]:
    """Settings that cannot hold together."""
    return [
        *_ready(settings),
        *_restart(settings),
        *_logs(settings),
        *listener_contradictions(settings),
        *infrastructure_contradictions(settings),
        *ambassador_contradictions(settings),
        *proxies_contradictions(settings),
    ]


def notices(settings: Settings) -> list[Finding]:
    """Settings that hold, but that few would want: shown by `pillion check`, and never a reason to refuse."""
    return [
        *_exposed(settings),
        *_secrets(settings),
        *_without_effect(settings),
        *_tight(settings),
        *infrastructure_notices(settings),
        *listener_notices(settings),
        *ambassador_notices(settings),
        *proxies_notices(settings),
    ]


def _ready(settings: Settings) -> list[Finding]:
    ready = settings.app.ready
    if ready is None:
        return []
    ways = [
        name
        for name, given in (
            ("http", ready.http is not None),
            ("tcp", ready.tcp is not None),
            ("exec", bool(ready.exec)),
            ("notify", ready.notify),
        )
        if given
    ]
    path = ("app", "ready")
    found = []
    if len(ways) != 1:
        had = " and ".join(ways) if ways else "none of them"
        found.append(
            Finding(path, f"cannot use {had}", "exactly one of http, tcp, exec and notify")
        )
    if ready.http is not None and ready.http.startswith("/") and settings.app.port is None:
        found.append(
            Finding(
                (*path, "http"),
                "cannot ask a path without app.port; set app.port, or give a whole URL",
            )
        )
    return found


def _restart(settings: Settings) -> list[Finding]:
    restart = settings.app.restart
    if restart.initial_s <= restart.max_s:
        return []
    return [
        Finding(
            ("app", "restart"),
            "cannot wait longer at first than at most; raise max or lower initial",
        )
    ]


def _logs(settings: Settings) -> list[Finding]:
    spool = settings.logs.spool
    found = []
    if spool.ring_bytes > spool.size_bytes:
        found.append(
            Finding(
                ("logs", "spool"),
                "cannot have a ring larger than the spool; lower ring or raise size",
            )
        )
    return found


def _exposed(settings: Settings) -> list[Finding]:
    listen = settings.api.listen
    if listen is None or is_loopback(split_address(listen).host):
        return []
    return [
        Finding(
            ("api", "listen"),
            "reachable from other hosts, protected by its token alone; 127.0.0.1 is closed to them",
        )
    ]


def _secrets(settings: Settings) -> list[Finding]:
    return [
        Finding(
            ("telemetry", "headers", name),
            f'a secret in the settings file; "{FILE_REFERENCE}/path" keeps it in a file of its own',
        )
        for name, value in settings.telemetry.headers.items()
        if name.lower() in _SECRET_HEADERS and not value.startswith(FILE_REFERENCE)
    ]


def _without_effect(settings: Settings) -> list[Finding]:
    found = []
    telemetry = settings.telemetry
    if telemetry.otlp is None and telemetry.headers:
        found.append(
            Finding(
                ("telemetry", "headers"), "without effect until telemetry.otlp says where to ship"
            )
        )
    if telemetry.ca_file is not None and not (telemetry.otlp or "").startswith("https:"):
        found.append(
            Finding(
                ("telemetry", "ca_file"), "without effect unless telemetry.otlp is an https URL"
            )
        )
    if settings.app.group is not None and settings.app.user is None:
        found.append(
            Finding(("app", "group"), "the group changes but the user stays; app.user sets both")
        )
    return found


def _tight(settings: Settings) -> list[Finding]:
    found = []
    for name, limits in (
        ("agent", settings.agent.limits),
        ("shipper", settings.shipper.limits),
        ("ambassador", settings.ambassador.limits),
    ):
        if limits.memory_bytes is not None and limits.memory_bytes < _LEAST_SIDECAR_BYTES:
            found.append(
                Finding(
                    (name, "limits", "memory"),
                    "so little that this process may be ended again and again; 48M at least",
                )
            )
    return found
