"""Envoy for a figure: one worker thread, kept upstream connections, a JSON record of each request in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.peers import ENVOY
from bench.proxy import CONNECT_S, CONNECTIONS, TOTAL_S, TRY_S, Proxy, Upstream, free_ports

if TYPE_CHECKING:
    from bench.workbench import Bench

_TYPES = "type.googleapis.com/envoy"
_RECORD = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "reason": "%RESPONSE_FLAGS%",
    "upstream": "%UPSTREAM_HOST%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "first": "%RESPONSE_DURATION%",
    "total": "%DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "peer": "%DOWNSTREAM_REMOTE_ADDRESS%",
}


def start(bench: Bench, upstream: Upstream, cpus: set[int]) -> Proxy:
    """Start it on the given cores."""
    folder = bench.fresh("v")
    plain, tls = free_ports(2)
    path = f"{folder}/envoy.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(_configuration(folder, upstream, plain, tls), file)
    command = [bench.peers.paths[ENVOY], "-c", path, "--concurrency", "1", "--disable-hot-restart"]
    process = bench.spawn([*command, "--log-level", "error"], cpus=cpus)
    return Proxy("Envoy", plain, tls, (process.pid,), (process.pid,)).wait_for_answers()


def _configuration(folder: str, upstream: Upstream, plain: int, tls: int) -> dict[str, Any]:
    return {
        "static_resources": {
            "listeners": [
                _listener("plain", plain, folder),
                _listener("tls", tls, folder, _tls(upstream)),
            ],
            "clusters": [_cluster(upstream)],
        }
    }


def _listener(
    name: str, port: int, folder: str, tls: dict[str, Any] | None = None
) -> dict[str, Any]:
    chain: dict[str, Any] = {"filters": [_manager(name, folder)]}
    if tls is not None:
        chain["transport_socket"] = tls
    return {
        "name": name,
        "address": _address(port),
        "tcp_backlog_size": 4096,
        "filter_chains": [chain],
    }


def _manager(name: str, folder: str) -> dict[str, Any]:
    route = {
        "match": {"prefix": "/"},
        "route": {
            "cluster": "far",
            "timeout": f"{TOTAL_S}s",
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream",
                "num_retries": 1,
                "per_try_timeout": f"{TRY_S}s",
            },
        },
    }
    network = f"{_TYPES}.extensions.filters.network.http_connection_manager.v3"
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{network}.HttpConnectionManager",
            "stat_prefix": name,
            "codec_type": "HTTP1",
            "use_remote_address": True,
            "generate_request_id": False,
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
                }
            ],
            "access_log": [
                {
                    "name": "envoy.access_loggers.file",
                    "typed_config": {
                        "@type": f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
                        "path": f"{folder}/access.log",
                        "log_format": {"json_format": _RECORD},
                    },
                }
            ],
        },
    }


def _tls(upstream: Upstream) -> dict[str, Any]:
    pair = {
        "certificate_chain": {"filename": upstream.certificate},
        "private_key": {"filename": upstream.key},
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"alpn_protocols": ["http/1.1"], "tls_certificates": [pair]},
        },
    }


def _cluster(upstream: Upstream) -> dict[str, Any]:
    most = {
        "max_connections": CONNECTIONS,
        "max_pending_requests": CONNECTIONS,
        "max_requests": CONNECTIONS,
    }
    endpoint = {"endpoint": {"address": _address(upstream.port)}}
    return {
        "name": "far",
        "type": "STATIC",
        "connect_timeout": f"{CONNECT_S}s",
        "circuit_breakers": {"thresholds": [most]},
        "outlier_detection": {"consecutive_5xx": 5},
        "load_assignment": {
            "cluster_name": "far",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
