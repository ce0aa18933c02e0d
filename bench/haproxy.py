"""HAProxy for a figure: one thread, shared upstream connections, a JSON record of each request on its output."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from bench.peers import HAPROXY
from bench.proxy import CONNECT_S, CONNECTIONS, TRY_S, Proxy, Upstream, free_ports

if TYPE_CHECKING:
    from bench.workbench import Bench

_RECORD = (
    '{"time":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","method":"%HM","path":"%HPO","status":%ST,"upstream":"%b/%s",'
    '"bytes":%B,"connect":%Tc,"first":%Tr,"total":%Ta,"retries":%rc,"peer":"%ci"}'
)


def start(bench: Bench, upstream: Upstream, cpus: set[int]) -> Proxy:
    """Start it on the given cores."""
    folder = bench.fresh("h")
    plain, tls = free_ports(2)
    path = f"{folder}/haproxy.cfg"
    with open(path, "w", encoding="utf-8") as file:
        file.write(_configuration(upstream, plain, tls))
    with open(f"{folder}/records", "wb") as records:
        process = bench.spawn(
            [bench.peers.paths[HAPROXY], "-db", "-f", path], stdout=records.fileno(), cpus=cpus
        )
    return Proxy("HAProxy", plain, tls, (process.pid,), (process.pid,)).wait_for_answers()


def _open_files() -> int:
    """HAProxy counts two descriptors for each connection, and those that wait have no second one."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _configuration(upstream: Upstream, plain: int, tls: int) -> str:
    record = _RECORD.replace("\\", "\\\\").replace('"', '\\"').replace(" ", "\\ ")
    return f"""global
    nbthread 1
    no strict-limits
    ulimit-n {_open_files()}
    maxconn {CONNECTIONS}
    log stdout len 2048 format raw local0 info
defaults
    mode http
    log global
    timeout connect {CONNECT_S}s
    timeout client 75s
    timeout server {TRY_S}s
    timeout http-request 10s
    timeout http-keep-alive 75s
    retries 1
    option redispatch
    retry-on conn-failure
    http-reuse always
frontend near
    bind 127.0.0.1:{plain} backlog 4096
    bind 127.0.0.1:{tls} backlog 4096 ssl crt {upstream.both} alpn http/1.1
    option forwardfor
    log-format {record}
    default_backend far
backend far
    server one 127.0.0.1:{upstream.port} maxconn {CONNECTIONS} observe layer7 error-limit 5 on-error mark-down check inter 10s
"""
