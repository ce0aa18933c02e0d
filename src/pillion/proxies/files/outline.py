"""What is remembered of the version that serves besides its files: who its members were and what it used, so that the next agent can compare and
watch from where this one was."""

import os

import msgspec

from pillion.base.files import write_atomically
from pillion.proxies.templating.references import Member, Reference
from pillion.proxies.templating.rendered import Rendered, RenderedFile

_BYTES = 16 << 20
_NEXT = "next.json"
_LIVE = "live.json"


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """A version without its text, which is in the served directory, and without the values of secrets. `files` are names, the main one first."""

    version: str
    files: tuple[str, ...]
    used: tuple[Reference, ...] = ()
    members: dict[str, tuple[Member, ...]] = {}
    holdings: dict[str, tuple[str, ...]] = {}
    functions: tuple[str, ...] = ()
    pinned: str = ""
    at_s: float = 0.0
    v: int = 1


def outline_of(
    rendered: Rendered, used: frozenset[Reference], *, pinned: str = "", at_s: float = 0.0
) -> Outline:
    """What is to be remembered of `rendered`; `used` is what is watched for it."""
    return Outline(
        version=rendered.version,
        files=tuple(one.name for one in rendered.files),
        used=tuple(sorted(used)),
        members=dict(rendered.members),
        holdings={name: tuple(sorted(ids)) for name, ids in rendered.holdings.items()},
        functions=tuple(sorted(rendered.functions)),
        pinned=pinned,
        at_s=at_s,
    )


def rendered_of(outline: Outline, texts: dict[str, str], secrets: frozenset[str]) -> Rendered:
    """The version again, with the `texts` that are in place."""
    return Rendered(
        version=outline.version,
        files=tuple(RenderedFile(name, texts[name]) for name in outline.files if name in texts),
        used=frozenset(outline.used),
        members=outline.members,
        holdings={name: frozenset(ids) for name, ids in outline.holdings.items()},
        functions=frozenset(outline.functions),
        secrets=secrets,
    )


class Outlines:
    """The outlines in a proxy's state directory: of the version that serves, and of the one on its way. Each method blocks."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def begin(self, outline: Outline) -> None:
        """A version is about to be moved in. Raises `OSError`."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        write_atomically(self._path(_NEXT), msgspec.json.encode(outline), durable=True)

    def finish(self, outline: Outline) -> None:
        """It serves. Raises `OSError`."""
        write_atomically(self._path(_LIVE), msgspec.json.encode(outline), durable=True)

    def find(self, version: str) -> Outline | None:
        """The outline of `version`, whether it serves or was on its way; None when there is none that can be read."""
        for name in (_LIVE, _NEXT):
            try:
                with open(self._path(name), "rb") as file:
                    found = msgspec.json.decode(file.read(_BYTES), type=Outline)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                continue
            if found.version == version and found.v == 1:
                return found
        return None

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)
