"""What is found out about a request and its answer, as maps: they are read where their variable is used, and nowhere is a header's list of a
server replaced by that of a location, which is how security headers get lost in nginx.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from pillion.proxies.offload.text import literal

if TYPE_CHECKING:
    from pillion.proxies.offload.facts import OffloadFacts
    from pillion.proxies.offload.text import Writer
    from pillion.settings.offload import Offload

IMMUTABLE = "public, max-age=31536000, immutable"
"""For a name that means one content for ever (RFC 8246)."""
REVALIDATE = "no-cache"
"""Kept, but asked for again before each use (RFC 9111, section 5.2.2.4)."""
PROBLEM_STATUSES = (
    400,
    403,
    404,
    405,
    408,
    411,
    412,
    413,
    414,
    416,
    421,
    429,
    431,
    500,
    501,
    503,
    504,
    505,
)
"""The answers of nginx itself that are problem documents (RFC 9457); 502 has a place of its own."""

# The grammars of the ambassador's inbound side, so that both believe the same.
_NODE = r"[0-9A-Za-z._:\[\]%-]{1,128}"
_HOST = r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
# What a path is made of (RFC 3986, section 3.3), the dot apart.
_PLAIN = r"A-Za-z0-9_~!$&'()*+,;=:@%-"
_SEGMENT = rf"[{_PLAIN}.]+"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 # a token of HTTP's grammar
_PAIR = _TOKEN + r"=(?:" + _TOKEN + r'|"(?:[^"\\]|\\.)*+")'
_ELEMENT = _PAIR + r"(?:[ \t]*;[ \t]*" + _PAIR + r")*+"


def say_maps(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    """All maps, at the level of `http`."""
    text.gap()
    with text.block("geo", "$pillion_dollar"):
        text.say("default", "$")
    _say_request(text, settings, facts)
    _say_client(text, facts)
    _say_caching(text, settings)
    _say_headers(text, settings)
    _say_problems(text, settings)


def _say_request(text: Writer, settings: Offload, facts: OffloadFacts) -> None:
    text.why("WebSocket alone: an upgrade to h2c would be a tunnel past all of this.")
    text.map("$http_upgrade", "$pillion_upgrade", ("~*^websocket$", "websocket"))
    text.map("$pillion_upgrade", "$pillion_connection", ("websocket", "upgrade"))
    text.why("What must not wait in a buffer, and what is nobody's file.")
    text.map(
        "$pillion_upgrade:$http_accept",
        "$pillion_stream",
        ("~^websocket:", "1"),
        (r"~*^:(?:[^,]*,)*[ \t]*text/event-stream", "1"),
    )
    text.map("$request_method", "$pillion_write", ("GET", ""), ("HEAD", ""), default="1")
    index = literal(settings.index)
    text.map("$uri", "$pillion_file", ("~/$", "${uri}" + index), default="$uri")
    if facts.build.brotli:
        text.map(
            "$http_accept_encoding",
            "$pillion_brotli",
            (r"~*(?:^|,)[ \t]*br[ \t]*(?:,|$)", "$document_root$pillion_file.br"),
        )
    if settings.spa:
        text.why("A navigation: the browser says so, or asks for HTML and says nothing else.")
        text.map(
            "$http_sec_fetch_mode:$http_accept",
            "$pillion_navigation",
            ("~*^navigate:", "1"),
            (r"~*^:(?:[^,]*,)*[ \t]*text/html", "1"),
        )
        text.map(
            "$pillion_navigation:$uri", "$pillion_page", (r"~^1:/(?:.*/)?[^./]*$", "/" + index)
        )
    text.why(
        "A directory with an entry page, asked for without its slash; as it was written, so that nothing in it is decoded."
    )
    text.map(
        "$request_method:$request_uri",
        "$pillion_slashed",
        (
            rf"~^(?:GET|HEAD):/+(?<pillion_path>(?:{_SEGMENT}/+)*[{_PLAIN}]+)(?<pillion_query>\?[{_PLAIN}./?]*)?$",
            "/$pillion_path/$pillion_query",
        ),
    )
    text.map(
        "$pillion_slashed",
        "$pillion_directory",
        ("", ""),
        default=f"$document_root$uri/{index}",
    )


def _say_client(text: Writer, facts: OffloadFacts) -> None:
    text.why(
        "The Host with its port, where both that nginx read and that the client wrote are the same; else the one that nginx read."
    )
    text.map(
        "$host $http_host",
        "$pillion_authority",
        (
            r"~*^(?<pillion_name>[^ ]+) (?<pillion_written>\k<pillion_name>(?::[0-9]{1,5})?)$",
            "$pillion_written",
        ),
        default="$host",
    )
    text.map(
        "$http_x_request_id",
        "$pillion_request_id",
        (r"~^(?<pillion_given_id>[A-Za-z0-9._:@/+=-]{1,128})$", "$pillion_given_id"),
        default="$request_id",
    )
    hops = facts.hops
    if hops and "x-forwarded" in facts.forwarded:
        text.why(f"Of what came, what the last {hops} have written is believed.")
        text.map(
            "$http_x_forwarded_for",
            "$pillion_forwarded_for",
            (
                rf"~(?:^|,)[ \t]*(?<pillion_nodes>{_NODE}(?:[ \t]*,[ \t]*{_NODE}){{0,{hops - 1}}})[ \t]*$",
                "$pillion_nodes, $remote_addr",
            ),
            default="$remote_addr",
        )
        text.map(
            "$http_x_forwarded_proto",
            "$pillion_scheme",
            (r"~*(?:^|,)[ \t]*(?<pillion_said_scheme>https?|wss?)[ \t]*$", "$pillion_said_scheme"),
            default="$scheme",
        )
        text.map(
            "$http_x_forwarded_host",
            "$pillion_host",
            (rf"~(?:^|,)[ \t]*(?<pillion_said_host>{_HOST})[ \t]*$", "$pillion_said_host"),
            default="$pillion_authority",
        )
    if "forwarded" in facts.forwarded:
        text.map(
            "$remote_addr",
            "$pillion_node",
            (r"~^[0-9.]+$", "$remote_addr"),
            (r"~^[0-9A-Fa-f:.]+$", '"[$remote_addr]"'),
            default="unknown",
        )
        own = 'for=$pillion_node;proto=$scheme;host="$pillion_authority"'
        rows: list[tuple[str, str]] = []
        if hops:
            rows.append(
                (
                    rf"~^(?:[ \t]*{_ELEMENT}[ \t]*,)*?[ \t]*(?<pillion_elements>{_ELEMENT}(?:[ \t]*,[ \t]*{_ELEMENT}){{0,{hops - 1}}})[ \t]*$",
                    "$pillion_elements, " + own,
                )
            )
        text.map("$http_forwarded", "$pillion_forwarded", *rows, default=own)


def say_log_maps(text: Writer) -> None:
    """The path as it came, without its query, which may hold what no log should."""
    text.map(
        "$request_uri", "$pillion_logged_path", (r"~^(?<pillion_asked>[^?]*)", "$pillion_asked")
    )


def _say_caching(text: Writer, settings: Offload) -> None:
    text.why("For files; what the app says about its own answers is left to it.")
    rows = [(r"~*\.html?$", REVALIDATE), (f"~^.*(?:{settings.hashed})", IMMUTABLE)]
    age = math.floor(settings.cache_s)
    others = f"public, max-age={age}" if age > 0 else REVALIDATE
    text.map("$uri", "$pillion_file_cache", *rows, default=others)
    text.map(
        "$upstream_status$upstream_cache_status",
        "$pillion_cache",
        ("", "$pillion_file_cache"),
    )
    text.why("A protected file for which the app has said nothing is its reader's alone.")
    text.map("$upstream_http_cache_control", "$pillion_private", ("", "private, no-cache"))
    if settings.microcache_s > 0:
        text.why("Whose answer may be anybody's: nothing in request or answer is somebody's own.")
        text.map(
            "$http_cookie$http_authorization$http_range", "$pillion_personal", ("", ""), default="1"
        )
        text.map(
            "$upstream_http_cache_control",
            "$pillion_uncacheable",
            (
                r"~*(?:no-store|no-cache|private|must-understand|(?:^|[ ,])(?:s-maxage|max-age)[ ]*=[ ]*\"?0)",
                "1",
            ),
        )


def _say_headers(text: Writer, settings: Offload) -> None:
    text.map("$upstream_http_x_request_id", "$pillion_answer_id", ("", "$pillion_request_id"))
    if settings.headers:
        text.why("On every answer, errors too, unless the app has said something itself.")
    for number, (name, value) in enumerate(settings.headers.items()):
        text.map(
            "$upstream_http_" + name.lower().replace("-", "_"),
            header_variable(number),
            ("", literal(value)),
        )


def _say_problems(text: Writer, settings: Offload) -> None:
    text.map(
        "$status",
        "$pillion_title",
        *((str(status), _title(status)) for status in PROBLEM_STATUSES),
        default="Error",
    )
    text.map(
        "$status",
        "$pillion_detail",
        ("413", f"The body is larger than the {settings.body_bytes} bytes that are taken here."),
        ("503", "The app is not ready; files are served all the same."),
        ("504", f"The app has sent nothing for {settings.timeout_s:g} s."),
        default="$pillion_title",
    )
    text.why("Ours alone: an app that answers 503 says itself when to come again.")
    text.map(
        "$status:$upstream_status",
        "$pillion_retry_after",
        (r"~^503:(?!.*503)", str(max(1, math.ceil(settings.retry_after_s)))),
    )
    text.why("Whether the app was reached at all.")
    text.map("$upstream_connect_time", "$pillion_reached", (r"~[0-9]$", "1"))


def header_variable(number: int) -> str:
    """The variable that holds the value of the header of that number, or nothing."""
    return f"$pillion_header_{number}"


def _title(status: int) -> str:
    return HTTPStatus(status).phrase
