"""The server in front of the app: which location a request comes to, and what is sent on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.proxies.offload.answers import say_answers
from pillion.proxies.offload.locations import say_locations
from pillion.proxies.offload.text import directory
from pillion.proxies.templating.rendered import RenderError

if TYPE_CHECKING:
    from pillion.proxies.offload.facts import OffloadFacts
    from pillion.proxies.offload.text import Writer
    from pillion.settings.edges import ServerTls
    from pillion.settings.offload import Offload

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
        root = directory(settings.root)
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
        say_answers(text, settings, facts)
        _say_proxying(text, settings, facts)
        say_locations(text, settings, facts)


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


def _milliseconds(value: float) -> str:
    return f"{max(1, round(value * 1000))}ms"
