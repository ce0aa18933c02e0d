"""Settings in a few sentences, for people: what will happen, and never a secret (no environment, no headers)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pillion.settings.units import format_duration, format_percentage, format_size

if TYPE_CHECKING:
    from pillion.settings import Settings
    from pillion.settings.app import App
    from pillion.settings.limits import Limits
    from pillion.settings.logs import Logs
    from pillion.settings.supervision import Watchdog
    from pillion.settings.telemetry import Telemetry
    from pillion.settings.upstreams import Upstream

_FULL = {
    "drop_oldest": "the oldest dropped first",
    "drop_newest": "what is new then dropped",
    "block": "the app then waits",
}


def summary(settings: Settings) -> list[tuple[str, str]]:
    """Pairs of subject and sentence, in a fixed order."""
    app = settings.app
    rows = [("runs", _runs(app)), ("ready", _ready(app)), ("restarts", _restarts(app))]
    rows.append(
        ("stops", f"{app.stop_signal}, and KILL after {format_duration(app.stop_timeout_s)}")
    )
    if app.watchdog is not None:
        rows.append(("watchdog", _watched(app.watchdog)))
    if settings.health.checks:
        rows.append(("checks", ", ".join(settings.health.checks)))
    each = [
        ("app", app.limits),
        ("agent", settings.agent.limits),
        ("shipper", settings.shipper.limits),
    ]
    if settings.uses_ambassador:
        each.append(("ambassador", settings.ambassador.limits))
    rows.append(("limits", "; ".join(f"{name}: {_limits(limits)}" for name, limits in each)))
    rows += [("keeps", _keeps(settings.logs)), ("ships", _ships(settings.telemetry))]
    if settings.config.files:
        rows.append(("writes", ", ".join(file.path for file in settings.config.files)))
    if settings.uses_ambassador:
        rows += _traffic(settings)
    rows.append(("found", _found(settings)))
    rows.append(
        ("api", f"Unix socket{f' and {settings.api.listen}' if settings.api.listen else ''}")
    )
    if settings.api.probe_listen:
        rows.append(("probes", settings.api.probe_listen))
    return rows


def _runs(app: App) -> str:
    command = shlex.join(app.command) if app.command else "the command given to pillion run"
    name = f" as {app.name}" if app.name else ""
    user = f", user {app.user}" if app.user else ""
    return f"{command}{name}{user}"


def _ready(app: App) -> str:
    ready = app.ready
    if ready is None:
        return "when it runs"
    if ready.http is not None:
        url = (
            f"http://127.0.0.1:{app.port}{ready.http}" if ready.http.startswith("/") else ready.http
        )
        return f"when {url} answers"
    if ready.tcp is not None:
        return f"when {ready.tcp} accepts a connection"
    return f"when {shlex.join(ready.exec)} succeeds" if ready.exec else "when the app says READY=1"


def _watched(watchdog: Watchdog) -> str:
    after = []
    if watchdog.timeout_s is not None:
        after.append(f"after {format_duration(watchdog.timeout_s)} without a sign")
    sustained = format_duration(watchdog.sustained_s)
    for what, share in (("memory", watchdog.memory), ("descriptors", watchdog.descriptors)):
        if share is not None:
            after.append(f"after {sustained} above {format_percentage(share)} of its {what}")
    if watchdog.progress_s is not None:
        after.append(f"after {format_duration(watchdog.progress_s)} without CPU and output")
    return f"restarted {', or '.join(after)}"


def _found(settings: Settings) -> str:
    service = settings.service
    if not service.register:
        return "by nobody; service.register is false"
    port = service.port or settings.app.port
    name = service.name or settings.app.name or "the name of its command"
    return f"as {name}{f' on port {port}' if port else ''}, when it is healthy"


def _traffic(settings: Settings) -> list[tuple[str, str]]:
    """Whom the app calls and who calls the app, through the ambassador."""
    ambassador, inbound = settings.ambassador, settings.inbound
    rows = []
    if ambassador.upstreams:
        calls = [_upstream(name, one) for name, one in ambassador.upstreams.items()]
        rows.append(("calls", "; ".join(calls)))
    if ambassador.proxy is not None:
        proxy = ambassador.proxy
        where = f"{len(proxy.hosts)} hosts" if proxy.egress == "list" else proxy.egress
        rows.append(("proxy", f"{proxy.listen}, egress: {where}"))
    if ambassador.routes:
        rows.append(("routes", str(len(ambassador.routes))))
    if inbound is not None:
        tls = " with TLS" if inbound.tls is not None else ""
        rows.append(("inbound", f"{inbound.listen}{tls}, to port {settings.app.port}"))
    return rows


def _upstream(name: str, upstream: Upstream) -> str:
    if upstream.service is not None:
        where = f"service {upstream.service}"
    elif upstream.dns is not None:
        where = f"dns {upstream.dns}"
    else:
        where = upstream.urls[0] if len(upstream.urls) == 1 else f"{len(upstream.urls)} URLs"
    tcp = ", tcp" if upstream.protocol == "tcp" and not where.startswith("tcp:") else ""
    at = f" at {upstream.listen}" if upstream.listen is not None else ""
    return f"{name} ({where}{tcp}){at}"


def _restarts(app: App) -> str:
    restart = app.restart
    if restart.policy == "never":
        return "never; pillion run ends with the app's exit code"
    when = "whenever it ends" if restart.policy == "always" else "after a failure"
    waits = f"waits {format_duration(restart.initial_s)} to {format_duration(restart.max_s)}"
    return f"{when}; {waits}; given up after {restart.limit} without a run of {format_duration(restart.reset_after_s)}"


def _limits(limits: Limits) -> str:
    parts = []
    if limits.memory_bytes is not None:
        parts.append(f"memory {format_size(limits.memory_bytes)}")
    if limits.cpu is not None:
        parts.append(f"cpu {limits.cpu:g}")
    if limits.processes is not None:
        parts.append(f"processes {limits.processes}")
    if limits.open_files is not None:
        parts.append(f"open files {limits.open_files}")
    return ", ".join(parts) or "none"


def _keeps(logs: Logs) -> str:
    spool = logs.spool
    kept = f"{format_size(spool.size_bytes)} or {format_duration(spool.age_s)} of output, {_FULL[spool.full]}"
    if logs.file is not None:
        kept += f"; also in {logs.file.path}"
    if logs.files:
        kept += f"; follows {', '.join(logs.files)}"
    return kept


def _ships(telemetry: Telemetry) -> str:
    if telemetry.otlp is None:
        return "nothing; telemetry.otlp is not set"
    packed = "" if telemetry.compression == "none" else f", {telemetry.compression}"
    return f"to {telemetry.otlp} ({telemetry.protocol}{packed})"
