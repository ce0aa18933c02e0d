"""What routes are matched by: host patterns, path patterns and methods, checked so that none can stand there that never matches."""

# ruff: noqa: D102 # the base class says what each method promises

from pillion.settings.addresses import split_address
from pillion.settings.kinds import Text

HOST_PATTERN = r"^(\*|(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$"
HOST_PORT_PATTERN = HOST_PATTERN.removesuffix("$") + r"(:[0-9]{1,5})?$"
PATH_PATTERN = r"^/[^?#\s]*$"
METHOD_PATTERN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

_METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
)
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_HEX = frozenset("0123456789abcdefABCDEF")
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


def template_names(path: str) -> list[str]:
    """The names of the parts of a path pattern in braces, in their order. Raises ValueError for braces that name nothing."""
    names = []
    for segment in path.split("/"):
        if "{" not in segment and "}" not in segment:
            continue
        name = segment[1:-1]
        if not (segment[0] == "{" and segment[-1] == "}") or not name or not _WORD.issuperset(name):
            raise ValueError("braces hold the name of one whole part of the path: /users/{id}/cart")
        names.append(name)
    if len(set(names)) != len(names):
        raise ValueError("a name in braces stands there twice")
    return names


def is_prefix(path: str) -> bool:
    """Whether a path pattern means everything below it: it ends with `/` or `*`."""
    return path.endswith(("/", "*"))


def placeholders(text: str) -> list[str]:
    """The names in braces of what is filled in, wherever they stand. Raises ValueError for braces that name nothing."""
    names = []
    before, *rest = text.split("{")
    for part in rest:
        name, closed, after = part.partition("}")
        if not closed or not name or not _WORD.issuperset(name) or "}" in after:
            raise ValueError("braces hold a name of letters, digits and _: {id}")
        names.append(name)
    if "}" in before:
        raise ValueError("braces hold a name of letters, digits and _: {id}")
    return names


def check_path_pattern(text: str) -> None:
    """Raise ValueError unless `text` can be matched by a normalised path: exact, a prefix, or a template."""
    _check_plain_path(text)
    if "*" in text[:-1]:
        raise ValueError("a * stands at the end, or nowhere")
    template_names(text)


def check_path_written(text: str) -> None:
    """Raise ValueError unless `text` can stand in a request's place of a path, with names in braces from the match."""
    _check_plain_path(text)
    placeholders(text)


def check_location(text: str) -> None:
    """Raise ValueError unless `text` can be sent as `Location`: a path, or an http or https URL, with names in braces."""
    if any(not 32 < ord(c) < 127 for c in text):
        raise ValueError("white space, or what is not ASCII, in a URL; write %20 and the like")
    path = text
    if text.startswith(("http://", "https://")):
        authority, slash, path = text.partition("://")[2].partition("/")
        if not authority or set(authority) & set("?#@{}"):
            raise ValueError("a host of its own, and a / before anything else")
        path = slash + path
    elif not text.startswith("/") or text.startswith("//"):
        raise ValueError("neither a path nor an http:// or https:// URL")
    placeholders(path)


def _check_plain_path(text: str) -> None:
    if not text.startswith("/"):
        raise ValueError("a path begins with /")
    if any(ord(c) < 33 or ord(c) == 127 for c in text):
        raise ValueError("white space in a path; write %20")
    if "?" in text or "#" in text:
        raise ValueError("a query or fragment has no place here; match has query")
    if {".", ".."} & set(text.split("/")):
        raise ValueError("paths are matched after normalisation, which leaves no . and ..")
    for escape in text.split("%")[1:]:
        if len(escape) < 2 or not _HEX.issuperset(escape[:2]) or escape.startswith("00"):
            raise ValueError("a % begins an escape such as %20")


def check_host_pattern(text: str) -> None:
    """Raise ValueError unless `text` is a host name, `*.` and one, or `*`; names are compared without regard to case."""
    if text == "*":
        return
    name = text.removeprefix("*.")
    if "*" in name:
        raise ValueError("a * stands for all the names in front of a domain: *.example.org")
    if "/" in name:
        raise ValueError("a host, not a URL")
    if ":" in name and not name.startswith("["):
        raise ValueError("a host without its port: every port matches")
    split_address(f"{name}:0")


def check_egress_host(text: str) -> None:
    """Raise ValueError unless `text` is a host pattern, with a port or without."""
    if "/" in text:
        raise ValueError("a host, not a URL")
    if text.count(":") > 1 and not text.startswith("["):
        raise ValueError("an IPv6 address needs brackets")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        check_host_pattern(text)
        return
    check_host_pattern(host)
    if split_address(f"x:{port}").port == 0:
        raise ValueError("port 0 cannot be connected to")


def _check_method(text: str) -> None:
    if not text or not _TOKEN.issuperset(text):
        raise ValueError("not a method")


class HostPattern(Text):
    """A host that a request may name, in lower case: a name, or a domain with `*.` in front of it."""

    def __init__(self) -> None:
        super().__init__(
            'a host such as "shop.internal" or "*.example.org"',
            check=check_host_pattern,
            pattern=HOST_PATTERN,
        )

    def parse(self, value: object) -> str:
        return super().parse(value).lower()


class EgressHost(Text):
    """A host that may be reached through the proxy, in lower case."""

    def __init__(self) -> None:
        super().__init__(
            'a host such as "api.example.org", "*.example.org" or "db.internal:5432"',
            check=check_egress_host,
            pattern=HOST_PORT_PATTERN,
        )

    def parse(self, value: object) -> str:
        return super().parse(value).lower()


class PathPattern(Text):
    """A path: exact, a prefix that ends with `/` or `*`, or a template. Empty: any."""

    def __init__(self) -> None:
        super().__init__(
            'a path: "/status" alone, "/v2/" and all below it, or "/users/{id}"',
            check=check_path_pattern,
            pattern=PATH_PATTERN,
        )


class Method(Text):
    """A method of HTTP, which is compared with its case (RFC 9110, section 9.1)."""

    def __init__(self) -> None:
        super().__init__('a method such as "GET"', check=_check_method, pattern=METHOD_PATTERN)

    def parse(self, value: object) -> str:
        text = super().parse(value)
        if text not in _METHODS and text.upper() in _METHODS:
            raise self.unfit(value, "methods are in capitals", f'"{text.upper()}"')
        return text
