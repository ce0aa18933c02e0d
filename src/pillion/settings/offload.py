"""What a user can say about the nginx in front of the app: which files it serves, how they are cached, and what goes on to the app."""

from __future__ import annotations

from types import MappingProxyType

from pillion.settings.edges import ServerTls
from pillion.settings.headers import NAME_PATTERN as HEADER_PATTERN
from pillion.settings.headers import check_header_name, check_header_value
from pillion.settings.kinds import Choice, Flag, Text
from pillion.settings.lean import cast
from pillion.settings.limits import Limits
from pillion.settings.proxies import ManagedProxy, Wait
from pillion.settings.quantities import Duration, Size
from pillion.settings.record import Record, setting
from pillion.settings.references import Account, Listen, Pattern
from pillion.settings.shapes import Strmap, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.settings.problems import Place

OFFLOAD = "offload"
"""Its name as a component."""
SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "X-Frame-Options": "SAMEORIGIN",
    }
)
"""What every answer bears unless the settings say otherwise."""
_NONE = "off"


class AnswerHeaders(Strmap):
    """Headers that are added to the usual ones, or take the place of the one of that name; "off" leaves that one out."""

    def __init__(self) -> None:
        super().__init__(
            "a table such as { Content-Security-Policy = \"default-src 'self'\" }",
            Text("a header's value", check=check_header_value),
            key_pattern=HEADER_PATTERN,
            check=check_header_name,
        )

    def read(self, value: object, place: Place, default: object) -> object:
        """The usual ones with those of `value`; names are the same in either case (RFC 9110, section 5.1)."""
        given = super().read(value, place, default)
        if given is default:
            return default
        said = cast("Mapping[str, str]", given)
        named = {name.lower() for name in said}
        kept = {name: one for name, one in SECURITY_HEADERS.items() if name.lower() not in named}
        return kept | {name: one for name, one in said.items() if one != _NONE}

    def written(self, value: object) -> object:
        """What is not there although it is usual, is written as left out."""
        held = cast("Mapping[str, str]", value)
        named = {name.lower() for name in held}
        missing = {name: _NONE for name in SECURITY_HEADERS if name.lower() not in named}
        return {**held, **missing}


def _check_index(text: str) -> None:
    if text.startswith("/") or ".." in text.split("/") or any(c.isspace() for c in text):
        raise ValueError("the name of a file below root")


def _check_prefix(text: str) -> None:
    if not (text.startswith("/") and text.endswith("/")) or "//" in text or text == "/":
        raise ValueError("it begins and ends with /, and is more than that")
    if any(c.isspace() or ord(c) < 33 or c in "\"'\\{};$" for c in text):
        raise ValueError("a character that a path of this sort has not")


class Offload(Record):
    """An nginx in front of the app, which serves its static files."""

    root: str = setting(
        Text("a directory"),
        "The directory of the files; what is not there goes to the app. A relative path begins where `pillion run` was started.",
        default="",
        required=True,
        example="public",
        also=("directory", "dir", "path", "static", "docroot", "document_root"),
    )
    listen: str = setting(
        Listen(off=False),
        "Where others reach it.",
        default="127.0.0.1:0",
        example="0.0.0.0:8080",
        also=("bind", "address", "port"),
    )
    to: str | None = setting(
        Choice(("app", "inbound"), optional=True),
        'Where the rest goes: straight to the "app", or through the ambassador\'s "inbound" with its rules. Without it, to inbound '
        "where there is one.",
        default=None,
        example="app",
        also=("upstream", "proxy_pass", "backend", "target"),
    )
    index: str = setting(
        Text("a file's name", check=_check_index),
        "The entry page, served for a directory; it is never cached without being asked for again.",
        default="index.html",
        also=("entry", "entrypoint", "index_file"),
    )
    spa: bool = setting(
        Flag(),
        "Whether a navigation to a path without a file gets the entry page instead of going to the app.",
        default=False,
        also=("single_page", "single_page_app", "history_fallback", "fallback"),
    )
    hashed: str = setting(
        Pattern(),
        "Which names have a hash of their content in them, so that they may be cached for ever: a regular expression.",
        default=r"[.-][0-9a-f]{8,}\.",
        also=("immutable", "fingerprint", "hash", "fingerprinted"),
    )
    cache_s: float = setting(
        Duration(0, 365 * 86400.0),
        "How long others are cached; the entry page never is.",
        default=3600.0,
        also=("max_age", "expires", "cache_control", "caching"),
    )
    precompress: bool = setting(
        Flag(),
        "Whether files are compressed in the background, to be served as they are (gzip, and brotli where nginx has the module).",
        default=False,
        also=("gzip", "brotli", "compress", "compression"),
    )
    protected: str | None = setting(
        Text("a directory", optional=True),
        "A directory of files that are served only when the app says so, by `X-Accel-Redirect`.",
        default=None,
        example="private",
        also=("private", "internal", "protected_root", "x_accel"),
    )
    protected_prefix: str = setting(
        Text('a path such as "/protected/"', check=_check_prefix, pattern="^/.*[^/].*/$"),
        "What an `X-Accel-Redirect` to one of them begins with; clients find nothing there.",
        default="/protected/",
        also=("internal_prefix", "x_accel_prefix"),
    )
    body_bytes: int = setting(
        Size(0, zero_word="none"),
        "A request's body; a longer one is answered 413.",
        default=16 << 20,
        also=("max_body", "client_max_body_size", "upload", "upload_limit", "body_size"),
    )
    timeout_s: float = setting(
        Duration(1, 86400),
        "How long the app may send nothing; after it, 504.",
        default=60.0,
        also=("proxy_read_timeout", "read_timeout", "app_timeout"),
    )
    microcache_s: float = setting(
        Duration(0, 3600, zero_word="off"),
        "How long the app's own answers are kept when they do not say how long, and nothing in request or answer is anybody's own.",
        default=0.0,
        example="1s",
        also=("microcaching", "proxy_cache", "cache_valid"),
    )
    headers: Mapping[str, str] = setting(
        AnswerHeaders(),
        'Headers of every answer that has none of that name, beside the usual ones; "off" leaves a usual one out.',
        default=SECURITY_HEADERS,
        example={"Content-Security-Policy": "default-src 'self'"},
        also=("add_header", "security_headers", "response_headers"),
    )
    tls: ServerTls | None = setting(
        Table(ServerTls(), optional=True),
        "TLS for those who come in; without it, plain.",
        default=None,
        also=("ssl", "https"),
    )
    retry_after_s: float = setting(
        Duration(1, 86400),
        "What `Retry-After` says while the app is not ready and its part is answered 503.",
        default=5.0,
        also=("retry", "retry_in"),
    )
    access_log: bool = setting(
        Flag(),
        "Whether each request is written down.",
        default=False,
        also=("log", "logs", "request_log"),
    )
    wait: Wait = setting(
        Table(Wait()),
        "How long changes are gathered.",
        default=Wait(),
        also=("gather", "debounce", "throttle"),
    )
    binary: str | None = setting(
        Text("a program's name or path", optional=True),
        "The program; without it, `nginx` as it is found.",
        default=None,
        example="/usr/sbin/nginx",
        also=("command", "exec", "executable", "bin", "nginx"),
    )
    user: str | None = setting(
        Account("user"),
        "As whom nginx's workers run when the instance is started by root. Without it, as the app's user, www-data, nobody, nginx or the owner of "
        "`root`: the first that may read the directories, and never as root.",
        default=None,
        example="www-data",
        also=("worker_user", "run_as", "uid"),
    )
    stop_timeout_s: float = setting(
        Duration(0, 86400),
        "How long it may take to finish its connections when the instance stops, before it is killed.",
        default=10.0,
        also=("grace", "grace_period", "timeout_stop", "kill_timeout"),
    )
    limits: Limits = setting(
        Table(Limits()),
        "Upper bounds of this nginx.",
        default=Limits(),
        also=("limit", "resources"),
    )

    def as_proxy(self) -> ManagedProxy:
        """The managed proxy that this is, but for its templates: an nginx of the keeper's by the name of `offload`."""
        return ManagedProxy(
            name=OFFLOAD,
            kind="nginx",
            binary=self.binary,
            wait=self.wait,
            stop_timeout_s=self.stop_timeout_s,
            limits=self.limits,
        )
