"""What a user can say about what becomes of a request that a route takes: to whom it goes, what is changed, what is answered."""

from __future__ import annotations

from pillion.settings.addresses import AUTHORITY_PATTERN, check_authority
from pillion.settings.headers import FRAMING, check_header_name, check_header_value
from pillion.settings.headers import NAME_PATTERN as HEADER_PATTERN
from pillion.settings.kinds import Text, Whole
from pillion.settings.names import name_text
from pillion.settings.record import NOTHING, Record, setting
from pillion.settings.route_patterns import PATH_PATTERN, check_location, check_path_written
from pillion.settings.shapes import Strings, Strmap
from pillion.settings.statuses import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_BODY = 64 << 10
_HOP_BY_HOP = (
    *FRAMING,
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
)


def _check_rule_name(text: str) -> None:
    check_header_name(text)
    if text.lower() == "host":
        raise ValueError("use rewrite.host")
    if text.lower() in _HOP_BY_HOP:
        raise ValueError("this header belongs to the connection, not to the message")


def _check_body(text: str) -> None:
    if len(text.encode(errors="surrogatepass")) > _MOST_BODY:
        raise ValueError("longer than 64K")


class Target(Record):
    """An upstream, and its share."""

    upstream: str = setting(
        name_text("the name of an upstream"),
        "The upstream's name; `app` is the app itself, for `[inbound]`.",
        default="",
        required=True,
        example="orders",
        also=("name", "cluster", "service", "backend", "host"),
    )
    weight: int = setting(
        Whole(0, 1_000_000),
        "Its share of the requests, relative to the others'; 0 is none.",
        default=1,
        also=("share", "percent", "percentage"),
    )


class Rewrite(Record):
    """What is sent instead of what was asked for. At most one of path and prefix."""

    path: str = setting(
        Text('a path such as "/api/{id}"', check=check_path_written, pattern=PATH_PATTERN),
        "The whole path; `{name}` is what that part of `match.path` was.",
        default="",
        example="/api/users/{id}",
        also=("uri", "replace_path", "set_path"),
    )
    prefix: str = setting(
        Text('a path such as "/"', check=check_path_written, pattern=PATH_PATTERN),
        "What stands in the place of the prefix that `match.path` is.",
        default="",
        example="/",
        also=("prefix_rewrite", "strip_prefix", "stripprefix", "replace_prefix"),
    )
    host: str | None = setting(
        Text("a host name", check=check_authority, pattern=AUTHORITY_PATTERN, optional=True),
        "The `Host`, before that of the upstream.",
        default=None,
        example="orders.internal",
        also=("host_rewrite", "authority", "host_rewrite_literal"),
    )


class Redirect(Record):
    """An answer that sends the client elsewhere."""

    to: str = setting(
        Text(
            'a path or URL such as "https://shop.example/"',
            check=check_location,
            pattern=r"^(https?://[^/?#@{}\s]+)?(/[!-~]*)?$",
        ),
        "Where to. With a / at its end the rest of the path and the query go with it; `{name}` is what that part of `match.path` was.",
        default="",
        required=True,
        example="https://shop.example/",
        also=("url", "location", "target"),
    )
    status: int = setting(
        Status((301, 302, 303, 307, 308)),
        "The status.",
        default=308,
        also=("code", "response_code"),
    )


class Answer(Record):
    """An answer of the ambassador's own."""

    status: int = setting(
        Whole(200, 599, "a status from 200 to 599"),
        "The status.",
        default=200,
        also=("code",),
    )
    body: str = setting(
        Text(empty=True, check=_check_body),
        "The body.",
        default="",
        example="gone\n",
        also=("text", "content", "string", "inline_string"),
    )
    type: str = setting(
        Text("a media type", check=check_header_value),
        "The body's media type.",
        default="text/plain; charset=utf-8",
        also=("content_type", "media_type", "mime"),
    )


class HeaderRules(Record):
    """Changes of headers, carried out in the order remove, set, add."""

    set: Mapping[str, str] = setting(
        Strmap(
            'a table such as { x-shop = "1" }',
            Text(empty=True, check=check_header_value),
            key_pattern=HEADER_PATTERN,
            check=_check_rule_name,
            numbers=True,
        ),
        "Headers with their values, instead of those of that name that are there.",
        default=NOTHING,
        example={"x-shop": "1"},
        also=("replace", "overwrite"),
    )
    add: Mapping[str, str] = setting(
        Strmap(
            'a table such as { x-shop = "1" }',
            Text(empty=True, check=check_header_value),
            key_pattern=HEADER_PATTERN,
            check=_check_rule_name,
            numbers=True,
        ),
        "Headers with their values, beside those that are there.",
        default=NOTHING,
        example={"x-shop": "1"},
        also=("append", "insert"),
    )
    remove: tuple[str, ...] = setting(
        Strings(
            'a list such as ["x-debug"]',
            Text("a header's name", check=_check_rule_name, pattern=HEADER_PATTERN),
            alone=True,
        ),
        "Headers that are taken out.",
        default=(),
        example=["x-debug"],
        also=("delete", "del", "unset", "hide"),
    )
