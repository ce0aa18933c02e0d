"""What comes of templates: a whole version of a proxy's files, what is missing for one, or why there is none."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from pillion.errors import PillionError
from pillion.proxies.templating.references import Member, Reference

VERSION_PLACE = "pillion0version0"
"""What stands in the place of the version until it is known; as long as a version, and safe wherever one is."""

Origin: TypeAlias = tuple[str, int]
"""A template and a line of it, from 1."""
Holdings: TypeAlias = Mapping[str, frozenset[str]]
"""What each source that can turn empty holds, by the source's name (`str(reference)`): ids of members, keys."""

_NOTHING: Holdings = MappingProxyType({})


class RenderedFile(msgspec.Struct, frozen=True):
    """One file: its name in the proxy's directory, its text, and for each of its lines where that comes from."""

    name: str
    text: str
    lines: tuple[Origin, ...] = ()


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a proxy's configuration. `files` has the main one first.

    `used` are the references that went into it, and `templates` the paths of the files that it was made of: when one of these changes, it is
    rendered again. `members` are those of each service that was used, whatever their status, sorted by id. `functions` names those of
    `proof`, `admin` and `bounds` that the templates call. `secrets` are the values that no message, event or answer may show (`masked`).
    """

    version: str
    files: tuple[RenderedFile, ...]
    used: frozenset[Reference] = frozenset()
    templates: frozenset[str] = frozenset()
    members: Mapping[str, tuple[Member, ...]] = MappingProxyType({})
    holdings: Holdings = _NOTHING
    functions: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()

    def file(self, name: str) -> RenderedFile | None:
        """The file of that name."""
        return next((one for one in self.files if one.name == name), None)

    def masked(self, text: str) -> str:
        """`text` without the secrets that went into these files."""
        return masked(text, self.secrets)


class Missing(msgspec.Struct, frozen=True):
    """The values that rendering needs beside those it was given; `used` and `templates` as far as it came."""

    references: frozenset[Reference]
    used: frozenset[Reference] = frozenset()
    templates: frozenset[str] = frozenset()


class RenderError(PillionError):
    """Templates and values that make no configuration; nothing changes until one of `used` or `templates` does, unless the cause is `passing`."""

    def __init__(
        self,
        text: str,
        *,
        used: AbstractSet[Reference] = frozenset(),
        templates: AbstractSet[str] = frozenset(),
        passing: bool = False,
    ) -> None:
        super().__init__(text)
        self.passing = passing
        self.used = frozenset(used)
        self.templates = frozenset(templates)


def versioned(files: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The version of these files (16 hex digits), whose texts have `VERSION_PLACE` where it belongs, and the files with it put in.

    The same names and texts have the same version, in any order.
    """
    digest = blake2b(digest_size=8)
    for name in sorted(files):
        for part in (name, files[name]):
            data = part.encode()
            digest.update(b"%d:" % len(data))
            digest.update(data)
    version = digest.hexdigest()
    return version, {name: text.replace(VERSION_PLACE, version) for name, text in files.items()}


def explain(rendered: Rendered, file: str, line: int, message: str) -> str:
    """What a proxy says about a line of a file, with where that line comes from.

    `nginx.conf.j2 line 12 (nginx.conf line 40): unknown directive "listn"`. `file` is a name or a path; a file or a line that is not ours
    is named as it is.
    """
    message = rendered.masked(message)
    name = file.rpartition("/")[2]
    known = rendered.file(name)
    if known is None:
        where = f"{file} line {line}" if line else file
        return f"{where}: {message}" if where else message
    if not 0 < line <= len(known.lines):
        return f"{name} line {line}: {message}" if line else f"{name}: {message}"
    template, template_line = known.lines[line - 1]
    return f"{template} line {template_line} ({name} line {line}): {message}"


def masked(text: str, secrets: AbstractSet[str]) -> str:
    """`text` with stars instead of each of `secrets`, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return text
