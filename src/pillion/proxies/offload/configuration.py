"""The configuration of the nginx in front of the app, as somebody who knows nginx would write it, from settings and facts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.proxies.offload.maps import say_log_maps, say_maps
from pillion.proxies.offload.server import say_server
from pillion.proxies.offload.text import Writer
from pillion.proxies.offload.types import CHARSET_TYPES, COMPRESSED_TYPES, MEDIA_TYPES
from pillion.proxies.templating.rendered import VERSION_PLACE, Rendered, RenderedFile, versioned

if TYPE_CHECKING:
    from pillion.proxies.offload.facts import OffloadFacts
    from pillion.settings.offload import Offload

MAIN = "nginx.conf"
CONNECTIONS = 8192
"""Of one worker, to clients and to the app, as far as its open files allow."""
# Node.js closes an idle connection after 5 s: ours must be the first to.
_IDLE_APP_S = 4


def render(settings: Offload, facts: OffloadFacts) -> Rendered:
    """The configuration; raises `RenderError` when a setting is nothing that nginx can be told."""
    text = Writer()
    _say_main(text, facts)
    with text.block("http"):
        _say_basics(text, settings, facts)
        _say_compression(text)
        say_maps(text, settings, facts)
        text.gap()
        with text.block("upstream", "pillion_app"):
            # There is one of it: leaving it out for a while would help nobody.
            text.say("server", facts.target, "max_fails=0")
            text.say("keepalive", "64")
            text.say("keepalive_requests", "10000")
            text.say("keepalive_timeout", f"{_IDLE_APP_S}s")
        say_server(text, settings, facts)
        if facts.facts.proves:
            _say_proof(text, facts)
    version, files = versioned({MAIN: text.text()})
    return Rendered(
        version=version,
        files=(RenderedFile(name=MAIN, text=files[MAIN]),),
        functions=frozenset({"proof", "bounds"} if facts.facts.proves else {"bounds"}),
    )


def _say_main(text: Writer, facts: OffloadFacts) -> None:
    text.why(
        f"Written by Pillion from [offload], version {VERSION_PLACE}; a change of this file does not last."
    )
    for module in facts.build.modules:
        text.say("load_module", module)
    if facts.user is not None:
        text.say("user", facts.user, *([facts.group] if facts.group else []))
    text.say("worker_processes", str(max(1, facts.workers)))
    text.say("worker_rlimit_nofile", str(facts.open_files))
    text.say("worker_shutdown_timeout", _seconds(facts.facts.old_workers_s))
    text.say("error_log", "stderr", "warn")
    text.say("pcre_jit", "on")
    with text.block("events"):
        text.say("worker_connections", str(max(64, min(CONNECTIONS, facts.open_files // 2))))


def _say_basics(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    places = facts.places
    with text.block("types"):
        for kind, ends in MEDIA_TYPES:
            text.say(kind, *ends)
    text.say("default_type", "application/octet-stream")
    text.say("types_hash_max_size", "4096")
    text.say("variables_hash_max_size", "2048")
    text.say("variables_hash_bucket_size", "128")
    text.say("map_hash_bucket_size", "256")
    text.say("charset_types", *CHARSET_TYPES)
    text.say("server_tokens", "off")
    text.gap()
    text.say("sendfile", "on")
    text.why("So that one fast client does not have the worker to itself.")
    text.say("sendfile_max_chunk", "2m")
    text.say("tcp_nopush", "on")
    text.say("tcp_nodelay", "on")
    text.say("keepalive_timeout", "75s")
    text.say("keepalive_requests", "10000")
    text.say("client_header_timeout", "10s")
    text.say("client_body_timeout", "30s")
    text.say("send_timeout", "30s")
    text.say("reset_timedout_connection", "on")
    text.say("large_client_header_buffers", "4", "16k")
    text.say("log_not_found", "off")
    text.say("absolute_redirect", "off")
    text.gap()
    for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        text.say(f"{what}_temp_path", f"{places.temporary}/{what}")
    _say_log(text, settings)
    if settings.microcache_s > 0:
        text.say(
            "proxy_cache_path",
            places.cache,
            "levels=1:2",
            "keys_zone=pillion_micro:4m",
            "max_size=64m",
            "inactive=60s",
            "use_temp_path=off",
        )


def _say_log(text: Writer, settings: Offload) -> None:
    if not settings.access_log:
        text.say("access_log", "off")
        return
    say_log_maps(text)
    text.say(
        "log_format",
        "pillion",
        "escape=json",
        '{"time":"$time_iso8601","method":"$request_method","host":"$pillion_authority","path":"$pillion_logged_path",'
        '"protocol":"$server_protocol","status":"$status","bytes":"$body_bytes_sent","duration_s":"$request_time",'
        '"app_status":"$upstream_status","app_s":"$upstream_response_time","cache":"$upstream_cache_status",'
        '"client":"$remote_addr","request_id":"$pillion_request_id","traceparent":"$http_traceparent"}',
    )
    # The keeper's end of it never waits for a disk; the buffer is for the sake of fewer writes.
    text.say("access_log", "/dev/stdout", "pillion", "buffer=32k", "flush=1s")


def _say_compression(text: Writer) -> None:
    text.gap()
    text.say("gzip_vary", "on")
    text.say("gzip_proxied", "any")
    text.say("gzip_comp_level", "5")
    text.say("gzip_min_length", "1024")
    text.say("gzip_types", *COMPRESSED_TYPES)


def _say_proof(text: Writer, facts: OffloadFacts) -> None:
    text.gap()
    text.why("Which version it is that serves.")
    with text.block("server"):
        text.say("listen", f"unix:{facts.facts.proof_path}")
        text.say("server_name", "pillion-proof")
        text.say("access_log", "off")
        text.why("Whoever asks again asks the newest worker.")
        text.say("keepalive_timeout", "0")
        text.say("default_type", "text/plain")
        text.say("add_header", "Cache-Control", "no-store", "always")
        text.say("return", "200", VERSION_PLACE)


def _seconds(value: float) -> str:
    return f"{max(1, round(value * 1000))}ms"
