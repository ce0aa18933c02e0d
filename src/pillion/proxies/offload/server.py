"""The server in front of the app: which location a request comes to, and what is sent on."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING

from pillion.proxies.offload.maps import PROBLEM_STATUSES, header_variable
from pillion.proxies.offload.text import literal
from pillion.proxies.offload.types import COMPRESSED_ENDS
from pillion.proxies.templating.rendered import RenderError

if TYPE_CHECKING:
    from pillion.proxies.offload.facts import OffloadFacts
    from pillion.proxies.offload.text import Writer
    from pillion.settings.edges import ServerTls
    from pillion.settings.offload import Offload

STREAM, WRITE, BROTLI = 491, 492, 493
"""Codes that are nobody's, by which a location hands on to a named one."""
PROBLEM = "/.pillion/problem"
"""A path, since a request of which not even the target could be read comes to no named location. No client comes here."""
QUIET_S = 3600
"""How long a WebSocket or a stream of events may be silent."""
# Mozilla's intermediate list; TLS 1.3 has its own.
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
# What says the same of the client as X-Forwarded-*, and what makes an app name files of its own to nginx.
_CLAIMS = (
    "X-Forwarded-By",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Real-IP",
)
_NEVER = (
    "Proxy",
    "X-Accel-Redirect",
    "X-Accel-Mapping",
    "X-Accel-Buffering",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Charset",
    "X-Sendfile",
    "X-Sendfile-Type",
)


def say_server(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    """The server with all its locations."""
    text.gap()
    with text.block("server"):
        _say_listener(text, settings, facts)
        text.say("server_name", "_")
        text.say("client_max_body_size", str(settings.body_bytes))
        text.say("client_body_buffer_size", "64k")
        text.say("charset", "utf-8")
        text.gap()
        root = _directory(settings.root)
        text.say("root", root)
        text.why("Links below the root are not followed; the root itself may be one.")
        text.say("disable_symlinks", "on", "from=$document_root")
        text.say("gzip", "on")
        text.why(
            "Files stay open, and each is looked at again after a second, also whether one that is missing has come: a deployment is seen within it."
        )
        text.say("open_file_cache", "max=10000", "inactive=60s")
        text.say("open_file_cache_valid", "1s")
        text.say("open_file_cache_min_uses", "1")
        text.say("open_file_cache_errors", "on")
        if facts.build.gzip_static:
            text.say("gzip_static", "on")
        text.gap()
        _say_answers(text, settings, facts)
        _say_proxying(text, settings, facts)
        _say_locations(text, settings, facts)


def _say_listener(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    tls = settings.tls
    if tls is None:
        text.say("listen", facts.listen, "default_server", "backlog=4096")
        return
    if not facts.build.tls:
        raise RenderError(
            "cannot render offload: this nginx has no TLS; set offload.binary to one that has"
        )
    new = facts.build.version >= (1, 25, 1)
    words = ["ssl"] if new or not facts.build.http2 else ["ssl", "http2"]
    text.say("listen", facts.listen, *words, "default_server", "backlog=4096")
    if new and facts.build.http2:
        text.say("http2", "on")
    _say_tls(text, tls)


def _say_tls(text: Writer, tls: ServerTls) -> None:
    # In these, a variable would mean that the file is read for each handshake.
    files = {
        "cert_file": tls.cert_file,
        "key_file": tls.key_file,
        "client_ca_file": tls.client_ca_file,
    }
    for name, path in files.items():
        if path is not None and "$" in path:
            raise RenderError(
                f"cannot render offload: nginx takes the $ in {path} for a variable; give offload.tls.{name} another name"
            )
    if tls.allowed_names:
        raise RenderError(
            "cannot render offload: nginx does not show the names in clients' certificates; "
            "leave offload.tls.allowed_names to inbound"
        )
    text.say("ssl_certificate", tls.cert_file)
    text.say("ssl_certificate_key", tls.key_file)
    text.say(
        "ssl_protocols", *(["TLSv1.3"] if tls.min_version == "1.3" else ["TLSv1.2", "TLSv1.3"])
    )
    text.say("ssl_ciphers", _CIPHERS)
    text.say("ssl_prefer_server_ciphers", "off")
    text.say("ssl_session_timeout", "1d")
    text.say("ssl_session_cache", "shared:pillion_tls:10m")
    text.say("ssl_session_tickets", "off")
    if tls.client_ca_file is not None:
        text.say("ssl_client_certificate", tls.client_ca_file)
        text.say("ssl_verify_client", "on")
        text.say("ssl_verify_depth", "4")


def _say_answers(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    _say_headers(text, settings, "$pillion_cache")
    text.why("What nginx answers itself; the app's own errors are left alone.")
    text.say("recursive_error_pages", "on")
    _say_errors(text, settings, facts)


def _say_headers(text: Writer, settings: Offload, caching: str) -> None:
    """All of them, since a location that adds one has none of its server's."""
    text.say("add_header", "Cache-Control", caching)
    text.say("add_header", "Retry-After", "$pillion_retry_after", "always")
    text.say("add_header", "X-Request-Id", "$pillion_answer_id", "always")
    for number, name in enumerate(settings.headers):
        text.say("add_header", name, header_variable(number), "always")


def _say_errors(text: Writer, settings: Offload, facts: OffloadFacts, missing: str = "") -> None:
    """All of them, for the same reason; `missing` is the location of what is not found."""
    statuses = [one for one in PROBLEM_STATUSES if not (missing and one == 404)]
    text.say("error_page", *map(str, statuses), PROBLEM)
    if missing:
        text.say("error_page", "404", "=", missing)
    text.say("error_page", "494", "=431", PROBLEM)
    if settings.tls is not None:
        text.say("error_page", "495", "496", "497", "=400", PROBLEM)
    text.say("error_page", "502", "=", "@away")
    text.say("error_page", str(STREAM), "=", "@stream")
    text.say("error_page", str(WRITE), "=", "@app")
    if facts.build.brotli:
        text.say("error_page", str(BROTLI), "=", "@brotli")


def _say_proxying(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    text.gap()
    text.say("proxy_http_version", "1.1")
    headers = {
        "Host": "$pillion_authority",
        "Upgrade": "$pillion_upgrade",
        "Connection": "$pillion_connection",
        "X-Request-Id": "$pillion_request_id",
    }
    headers |= dict.fromkeys(_NEVER, "")
    if facts.forwarded:
        believed = facts.hops > 0 and "x-forwarded" in facts.forwarded
        headers |= dict.fromkeys(("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"), "")
        headers["Forwarded"] = ""
        if "x-forwarded" in facts.forwarded:
            headers["X-Forwarded-For"] = "$pillion_forwarded_for" if believed else "$remote_addr"
            headers["X-Forwarded-Proto"] = "$pillion_scheme" if believed else "$scheme"
            headers["X-Forwarded-Host"] = "$pillion_host" if believed else "$pillion_authority"
        if "forwarded" in facts.forwarded:
            headers["Forwarded"] = "$pillion_forwarded"
        if not facts.hops:
            headers |= dict.fromkeys(_CLAIMS, "")
    for name, value in headers.items():
        text.say("proxy_set_header", name, value)
    text.say("proxy_connect_timeout", "5s")
    text.say("proxy_send_timeout", _milliseconds(settings.timeout_s))
    text.say("proxy_read_timeout", _milliseconds(settings.timeout_s))
    text.say("proxy_next_upstream", "error")
    text.say("proxy_socket_keepalive", "on")
    text.say("proxy_redirect", "off")
    text.say("proxy_buffer_size", "16k")
    text.say("proxy_buffers", "16", "16k")
    text.say("proxy_busy_buffers_size", "64k")
    text.say("proxy_max_temp_file_size", "64m")
    if settings.protected is None:
        text.why("Without protected files there is nothing that the app could mean.")
        text.say("proxy_ignore_headers", "X-Accel-Redirect")


def _say_locations(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    text.gap()
    if settings.protected is not None:
        text.why("Only by X-Accel-Redirect; a client finds nothing here.")
        with text.block("location", "^~", settings.protected_prefix):
            text.say("internal")
            directory = _directory(settings.protected)
            text.say("alias", directory.rstrip("/") + "/")
            text.say("disable_symlinks", "on", f"from={directory}")
            _say_headers(text, settings, "$pillion_private")
    text.why("No hidden files, however they are asked for.")
    with text.block("location", "~", r"^(?:/.*)?/\.(?!well-known(?:/|$))"):
        text.say("return", "404")
    if settings.precompress:
        _say_compressed(text, settings, facts)
    text.why("Names with a hash of their content: what was opened once stays right.")
    with text.block("location", "~", f"^.*(?:{settings.hashed})"):
        _say_turns(text)
        _say_open_files(text)
        _say_brotli(text, facts)
        text.say("try_files", "$pillion_file", "@app")
    text.why(
        "Other files are looked at again after a second, so that a new version is served within it."
    )
    with text.block("location", "/"):
        _say_turns(text)
        _say_brotli(text, facts)
        pages = ["$pillion_page"] if settings.spa else []
        text.say("try_files", "$pillion_file", *pages, "@app")
    if facts.build.brotli:
        text.why("A .br file that was found to be no link, for a client that takes it.")
        with text.block("location", "@brotli"):
            text.say("disable_symlinks", "off")
            text.say("brotli_static", "on")
            if facts.build.gzip_static:
                text.say("gzip_static", "off")
            text.say("try_files", "$pillion_file", "@app")
    text.gap()
    _say_app(text, settings, facts)
    _say_own_answers(text)


def _say_turns(text: Writer) -> None:
    with text.when("$pillion_stream"):
        text.say("return", str(STREAM))
    with text.when("$pillion_write"):
        text.say("return", str(WRITE))


def _say_open_files(text: Writer) -> None:
    """One that is missing is looked for each time: a page that names it may be served before it has come."""
    text.say("open_file_cache_valid", "60s")
    text.say("open_file_cache_errors", "off")


def _say_compressed(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    """What Pillion has compressed lies in a tree of its own, without the files themselves: what is not there, or not in a coding that the
    client takes, is looked for below the root."""
    ends = "|".join(sorted(COMPRESSED_ENDS))
    text.why(
        "Compressed beforehand, in a tree of its own; what is not there is looked for below the root."
    )
    with text.block("location", "~", rf"^(?=.*(?:{settings.hashed})).*\.(?:{ends})$"):
        _say_turns(text)
        _say_tree(text, facts)
        _say_open_files(text)
        _say_errors(text, settings, facts, missing="@hashed")
    with text.block("location", "@hashed"):
        _say_open_files(text)
        _say_brotli(text, facts)
        text.say("try_files", "$pillion_file", "@app")
    if settings.cache_s < 1:
        return
    with text.block("location", "~", rf"^.*\.(?:{ends})$"):
        _say_turns(text)
        _say_tree(text, facts)
        _say_errors(text, settings, facts, missing="@file")
    with text.block("location", "@file"):
        _say_brotli(text, facts)
        text.say("try_files", "$pillion_file", "@app")


def _say_tree(text: Writer, facts: OffloadFacts) -> None:
    """Files that Pillion has made itself, so that there are no links among them."""
    text.say("root", literal(facts.places.compressed))
    text.say("disable_symlinks", "off")
    if facts.build.brotli:
        text.say("brotli_static", "on")


def _say_brotli(text: Writer, facts: OffloadFacts) -> None:
    """The module finds nothing where links are not followed: nginx itself looks first whether it is a file, and no link."""
    if facts.build.brotli:
        with text.when_file("$pillion_brotli"):
            text.say("return", str(BROTLI))


def _say_app(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    text.why(
        "The app: buffered, so that a slow client does not hold it. What it sends in chunks goes out as it comes."
    )
    with text.block("location", "@app"):
        _say_gate(text, facts)
        with text.when_file("$pillion_directory"):
            text.say("return", "301", "$pillion_slashed")
        if settings.microcache_s > 0:
            _say_microcache(text, settings)
        _say_pass(text)
    text.why("WebSocket and streams of events: silence is no fault.")
    with text.block("location", "@stream"):
        _say_gate(text, facts)
        text.say("proxy_read_timeout", f"{QUIET_S}s")
        text.say("proxy_send_timeout", f"{QUIET_S}s")
        _say_pass(text)


def _say_gate(text: Writer, facts: OffloadFacts) -> None:
    text.say("disable_symlinks", "off")
    text.why("The gate counts at once, not as it was up to a second ago.")
    text.say("open_file_cache", "off")
    with text.when_file(literal(facts.places.closed)):
        text.say("return", "503")


def _say_pass(text: Writer) -> None:
    text.say("gzip", "off")
    text.say("charset", "off")
    text.say("proxy_pass", "http://pillion_app")


def _say_microcache(text: Writer, settings: Offload) -> None:
    text.why(
        "How long is said by the setting; whether at all, the maps read from the same headers."
    )
    ignored = ["X-Accel-Redirect"] if settings.protected is None else []
    text.say("proxy_ignore_headers", *ignored, "Cache-Control", "Expires")
    text.say("proxy_cache", "pillion_micro")
    text.say("proxy_cache_key", "$request_method $scheme $pillion_authority $request_uri")
    text.say(
        "proxy_cache_valid", "200", "301", "302", "404", f"{math.ceil(settings.microcache_s)}s"
    )
    text.say("proxy_cache_lock", "on")
    text.say("proxy_cache_lock_timeout", "5s")
    text.say("proxy_cache_use_stale", "updating")
    text.say("proxy_cache_background_update", "on")
    text.say("proxy_cache_bypass", "$pillion_personal")
    text.say("proxy_no_cache", "$pillion_personal", "$pillion_uncacheable")


def _say_own_answers(text: Writer) -> None:
    text.why("A problem document (RFC 9457), with the status that led here.")
    with text.block("location", "=", PROBLEM):
        text.say("internal")
        text.say("default_type", "application/problem+json")
        text.say("charset", "off")
        text.say(
            "return",
            "200",
            '{"type":"about:blank","title":"$pillion_title","status":$status,"detail":"$pillion_detail"}',
        )
    text.why("The app is away, unless it was reached and its answer is what cannot be used.")
    with text.block("location", "@away"):
        text.say("default_type", "application/problem+json")
        text.say("charset", "off")
        with text.when("$pillion_reached"):
            text.say(
                "return", "502", _problem(502, "The app broke off, or answered what is no HTTP.")
            )
        text.say("return", "503", _problem(503, "The app is away; files are served all the same."))


def _problem(status: int, detail: str) -> str:
    title = {502: "Bad Gateway", 503: "Service Unavailable"}[status]
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json.dumps(document, separators=(",", ":"))


def _directory(path: str) -> str:
    return literal(os.path.abspath(path))


def _milliseconds(value: float) -> str:
    return f"{max(1, round(value * 1000))}ms"
