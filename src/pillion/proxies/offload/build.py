"""What an nginx can do: a directive that this build does not know would be the end of the whole configuration."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import PillionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BROTLI_STATIC = "ngx_http_brotli_static_module.so"
"""The module that serves `.br` files."""
MODULE_DIRECTORIES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules")
"""Where Debian and others keep modules, when nginx does not say."""

_VERSION = re.compile(r"nginx version: \S+?/(\d+)\.(\d+)\.(\d+)")


class NginxBuild(msgspec.Struct, frozen=True):
    """`version` as numbers. `modules` are the paths of loadable modules that are there and are used; `brotli` whether `.br` files can be
    served, by one of them or by a module that is built in."""

    version: tuple[int, int, int] = (1, 22, 0)
    gzip_static: bool = True
    http2: bool = True
    tls: bool = True
    brotli: bool = False
    modules: tuple[str, ...] = ()


def read_build(text: str, exists: Callable[[str], bool] = os.path.isfile) -> NginxBuild:
    """What `nginx -V` says in `text`; `exists` looks for a module's file. Raises `PillionError` when it is not nginx that speaks."""
    match = _VERSION.search(text)
    if match is None:
        first = text.strip().partition("\n")[0][:200]
        raise PillionError(
            f"cannot use this nginx: it does not tell its version but says {first!r}; set offload.binary"
        )
    version = (int(match[1]), int(match[2]), int(match[3]))
    arguments = _arguments(text)
    places = [
        one.partition("=")[2] for one in arguments if one.startswith("--modules-path=")
    ] or MODULE_DIRECTORIES
    built_in = any("brotli" in one for one in arguments if one.startswith("--add-module="))
    found = "" if built_in else _find(BROTLI_STATIC, places, exists)
    return NginxBuild(
        version=version,
        gzip_static="--with-http_gzip_static_module" in arguments,
        http2="--with-http_v2_module" in arguments,
        tls="--with-http_ssl_module" in arguments,
        brotli=built_in or bool(found),
        modules=(found,) if found else (),
    )


def has_brotli() -> bool:
    """Whether the module is where modules usually are: without it nothing of the sort is worth making."""
    return bool(_find(BROTLI_STATIC, MODULE_DIRECTORIES, os.path.isfile))


def _find(name: str, places: Iterable[str], exists: Callable[[str], bool]) -> str:
    for place in places:
        path = os.path.join(place, name)
        if exists(path):
            return path
    return ""


def _arguments(text: str) -> list[str]:
    line = next(
        (one for one in text.splitlines() if one.startswith("configure arguments:")), ""
    ).partition(":")[2]
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
