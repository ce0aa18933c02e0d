"""From settings to the plan of `pillion.keeper.plan`, so that the keeper never loads a settings parser."""

from __future__ import annotations

import math
import os

from pillion.keeper.places import instance_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pillion.keeper.plan import (
        AmbassadorPlan,
        ApiPlan,
        AppPlan,
        LimitsPlan,
        ListenerPlan,
        LogsPlan,
        Plan,
        ProxyPlan,
        RestartPlan,
        SidecarPlan,
        StreamPlan,
    )
    from pillion.settings import Settings
    from pillion.settings.ambassador import Ambassador
    from pillion.settings.app import App
    from pillion.settings.limits import Limits
    from pillion.settings.logs import Logs
    from pillion.settings.proxies import ManagedProxy
    from pillion.settings.sidecar import Agent, Shipper
    from pillion.settings.supervision import Ready, Restart

VERSION = 1
# Not settings: a user has no reason to choose them, and every one has a default in the keeper's own plan.
HEARTBEAT_MISSES = 2
# A busy moment is no hang, however short the interval was chosen.
_PATIENCE_S = 5.0
READY_TIMEOUT_S = 10.0
SIDECAR_STOP_TIMEOUT_S = 5.0
# What has each finish its connections and end (nginx, "Controlling nginx"; HAProxy's management guide, section 4).
PROXY_STOP_SIGNALS = {"nginx": "QUIT", "haproxy": "USR1"}


def named(settings: Settings) -> Settings:
    """The settings with the names that they leave open: the app has that of its command, the service the app's.

    What the sidecar's processes read has always both.
    """
    app = settings.app
    if not app.name and app.command:
        app = app.replace(name=instance_name(os.path.basename(app.command[0])))
    service = settings.service
    if not service.name:
        service = service.replace(name=app.name)
    return settings.replace(app=app, service=service)


def keeper_plan(settings: Settings, settings_file: str | None = None) -> Plan:
    """Everything the keeper is told, as JSON values; seconds, bytes and cores as numbers.

    ====================  =========================================================================
    `v`                   version of this shape, 1
    `settings_file`       the file that a reload reads again, or None
    `app`                 `name` (the instance's unless `--name` says another), `service` (as others
                          find it), `command`, `workdir`, `env`, `user`, `group`, `stop_signal`, `stop_timeout_s`, `limits`, `on_keeper_death` as in the settings
    `app.restart`         `policy`, `initial_s`, `max_s`, `factor`, `jitter` (a fraction), `limit`,
                          `reset_after_s`
    `app.ready`           None (ready at once) or one of `{"notify": true}`, `{"http": …}`, `{"tcp": …}`,
                          `{"exec": […]}`, the last three with `timeout_s` and `interval_s`
    `app.watchdog_timeout_s`  None, or the seconds between two WATCHDOG=1
    `agent`, `shipper`    `enabled`, `heartbeat_s`, `heartbeat_misses`, `ready_timeout_s`, `drain_s`,
                          `stop_timeout_s`, `limits`; the agent's `wait_s` and `required` besides
    `ambassador`          only where one is used: the same for each of its `workers`, `listeners` (name to `listen`
                          and `protocol`, http or tcp: `upstream:<name>`, `proxy`, `inbound`), `proxy_env`, `proxy_credentials`
    `proxies`             only where the keeper runs one: for each by its name `command` (`{conf}`, `{state}` and `{runtime}` are
                          directories of the instance's), `limits`, `stop_signal`, `stop_timeout_s`, `listeners`
    `logs`                `spool_bytes`, `spool_age_s`, `ring_bytes` and `streams`: for stdout and stderr
                          each `full` (drop_oldest, drop_newest, block), `pty`, `mirror`
    `api`                 `listen`, `probe_listen`: `host:port` or None
    `secret_env`          variables that are secrets: the sidecar's processes do not inherit them
    ====================  =========================================================================

    A limit's key that is missing is no limit.
    """
    plan: Plan = {
        "v": VERSION,
        "settings_file": settings_file,
        "app": _app(settings.app, settings.service.name),
        "agent": {
            **_sidecar(settings.agent, enabled=True),
            "wait_s": settings.agent.wait_s,
            "required": settings.agent.required,
        },
        "shipper": _sidecar(settings.shipper, enabled=needs_shipper(settings)),
        "logs": _logs(settings.logs),
        "api": _api(settings),
        "secret_env": sorted(s.env for s in settings.secrets.values() if s.env is not None),
    }
    if settings.uses_ambassador:
        plan["ambassador"] = _ambassador(settings)
    if proxies := _proxies(settings):
        plan["proxies"] = proxies
    return plan


def needs_shipper(settings: Settings) -> bool:
    """Whether there is anything to ship, and so a shipper: a receiver, a file, or files to follow."""
    return bool(settings.telemetry.otlp or settings.logs.file or settings.logs.files)


def _app(app: App, service: str) -> AppPlan:
    return {
        "name": app.name,
        "service": service or app.name,
        "command": list(app.command),
        "workdir": app.workdir,
        "env": dict(app.env),
        "user": app.user,
        "group": app.group,
        "restart": _restart(app.restart),
        "stop_signal": app.stop_signal,
        "stop_timeout_s": app.stop_timeout_s,
        "ready": None if app.ready is None else _ready(app.ready),
        "watchdog_timeout_s": None if app.watchdog is None else app.watchdog.timeout_s,
        "limits": _limits(app.limits),
        "on_keeper_death": app.on_keeper_death,
    }


def _restart(restart: Restart) -> RestartPlan:
    return {
        "policy": restart.policy,
        "initial_s": restart.initial_s,
        "max_s": restart.max_s,
        "factor": restart.factor,
        "jitter": restart.jitter,
        "limit": restart.limit,
        "reset_after_s": restart.reset_after_s,
    }


def _ready(ready: Ready) -> dict[str, object]:
    if ready.notify:
        return {"notify": True}
    probe: dict[str, object] = {"timeout_s": ready.timeout_s, "interval_s": ready.interval_s}
    if ready.http is not None:
        probe["http"] = ready.http
    elif ready.tcp is not None:
        probe["tcp"] = ready.tcp
    else:
        probe["exec"] = list(ready.exec)
    return probe


def _ambassador(settings: Settings) -> AmbassadorPlan:
    ambassador = settings.ambassador
    proxy, inbound = ambassador.proxy, settings.inbound
    listeners = {
        f"upstream:{name}": _listener(upstream.listen, upstream.protocol)
        for name, upstream in sorted(ambassador.upstreams.items())
        if upstream.listen is not None
    }
    if proxy is not None:
        listeners["proxy"] = _listener(proxy.listen)
    if inbound is not None:
        listeners["inbound"] = _listener(inbound.listen)
    return {
        **_sidecar(ambassador, enabled=True),
        "workers": ambassador.workers,
        "listeners": listeners,
        "proxy_env": proxy is not None and proxy.env,
        "proxy_credentials": proxy is None or proxy.credentials,
    }


def _proxies(settings: Settings) -> dict[str, ProxyPlan]:
    """Those that the keeper runs, the offload's nginx among them."""
    plans = {proxy.name: _proxy(proxy) for proxy in settings.proxies if proxy.run == "keeper"}
    offload = settings.offload
    if offload is not None:
        proxy = offload.as_proxy()
        plans[proxy.name] = {**_proxy(proxy), "listeners": {proxy.name: _listener(offload.listen)}}
    return plans


def _proxy(proxy: ManagedProxy) -> ProxyPlan:
    """The command line of nginx(8) or haproxy(1), in the foreground, with a master that stays when its workers change."""
    conf, state = f"{{conf}}/{proxy.main_file}", "{state}"
    if proxy.kind == "nginx":
        # Its messages go where the sidecar's do; what these two directives say is not the configuration's to say.
        # What keeps it from loading is written down once more, where its driver looks for it: with -e also what
        # keeps it from starting, before it has read its directives.
        words = f"{{runtime}}/proxy-{proxy.name}.words"
        directives = (
            f'daemon off; pid "{state}/nginx.pid"; error_log stderr; error_log "{words}" emerg;'
        )
        command = [proxy.program, "-c", conf, "-p", "{conf}/", "-e", words, "-g", directives]
        room: str | None = f"{{runtime}}/proxy-{proxy.name}.room"
    else:
        master = f"unix@{{runtime}}/proxy-{proxy.name}.master,mode,600"
        # With -C a file that the configuration names without a directory is the one beside it.
        command = [proxy.program, "-W", "-S", master, "-C", "{conf}", "-f", conf]
        command += ["-p", f"{state}/haproxy.pid"]
        # It takes relative paths for those of the directory that it was started in: they are the user's.
        room = None
    return {
        "command": command,
        "limits": _limits(proxy.limits),
        "stop_signal": PROXY_STOP_SIGNALS[proxy.kind],
        "stop_timeout_s": proxy.stop_timeout_s,
        "room": room,
        "listeners": {},
    }


def _listener(listen: str, protocol: str = "http") -> ListenerPlan:
    return {"listen": listen, "protocol": protocol}


def _sidecar(process: Agent | Shipper | Ambassador, *, enabled: bool) -> SidecarPlan:
    return {
        "enabled": enabled,
        "heartbeat_s": process.heartbeat_s,
        "heartbeat_misses": max(HEARTBEAT_MISSES, math.ceil(_PATIENCE_S / process.heartbeat_s)),
        "ready_timeout_s": READY_TIMEOUT_S,
        "drain_s": process.drain_s,
        "stop_timeout_s": SIDECAR_STOP_TIMEOUT_S,
        "limits": _limits(process.limits),
    }


def _limits(limits: Limits) -> LimitsPlan:
    plan: LimitsPlan = {}
    if limits.memory_bytes is not None:
        plan["memory"] = limits.memory_bytes
    if limits.cpu is not None:
        plan["cpu"] = limits.cpu
    if limits.processes is not None:
        plan["processes"] = limits.processes
    if limits.open_files is not None:
        plan["open_files"] = limits.open_files
    return plan


def _logs(logs: Logs) -> LogsPlan:
    return {
        "spool_bytes": logs.spool.size_bytes,
        "spool_age_s": logs.spool.age_s,
        "ring_bytes": logs.spool.ring_bytes,
        "streams": {name: _stream(logs, name) for name in ("stdout", "stderr")},
    }


def _stream(logs: Logs, name: str) -> StreamPlan:
    return {
        "full": logs.full_for(name),
        "pty": logs.stream(name).pty,
        "mirror": logs.mirror_for(name),
    }


def _api(settings: Settings) -> ApiPlan:
    return {"listen": settings.api.listen, "probe_listen": settings.api.probe_listen}
