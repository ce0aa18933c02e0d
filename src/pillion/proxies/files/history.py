"""The versions that a proxy had or was refused, so that one can see what changed when and why, and go back.

    history/00000012-3f2a9c0d11e4b7a6/entry.json    what became of it
                                      0, 1, 2 …     its files, in the order of `entry.json`

An entry is written under another name and renamed: it is there whole or not at all. A secret is not in it: its place is marked with its name, and the value of the day is put
in when the version is read back.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING

import msgspec

from pillion.base.files import write_atomically
from pillion.proxies.files.candidate import digest
from pillion.proxies.files.differences import diff
from pillion.proxies.files.site import FilesError, sync, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 64 << 20
"""Of all entries together; the oldest go first, as with the bound on their number."""

HIDDEN = "***"
"""What is shown in the place of a secret."""

_ENTRY_BYTES = 4 << 20
_WRITTEN, _REMOVED = "being-written", "being-removed"
_NAME = re.compile(r"(\d{8})-([0-9A-Za-z._-]{1,64})\Z")
_MARK = "\0secret {}\0"
_MARKED = re.compile("\0secret ([^\0]*)\0")
_NONE: Mapping[str, str] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `number` grows by one with each, `outcome` is a word (`applied`, `refused`, `returned`, …), `reason` a line or more. `at_s` is seconds since the epoch, `took_ms`
    the work alone, `waited_ms` from the first change to its beginning, `files` SHA-256 by name of what is kept here."""

    number: int
    version: str
    previous: str = ""
    outcome: str
    reason: str = ""
    at_s: float
    took_ms: float = 0.0
    waited_ms: float = 0.0
    changes: int = 0
    files: dict[str, str] = {}
    size: int = 0
    v: int = 1


class History:
    """At most `most` entries in `directory`. Each method blocks: call it from a thread; one at a time."""

    def __init__(self, directory: str, most: int, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most = most
        self._most_bytes = most_bytes
        self._damaged: dict[str, str] = {}

    @property
    def damaged(self) -> Mapping[str, str]:
        """Entries that could not be read, by their name, and why: as of the last look."""
        return self._damaged

    def record(
        self,
        version: str,
        reason: str,
        outcome: str,
        files: Mapping[str, str],
        *,
        at_s: float,
        previous: str = "",
        took_ms: float = 0.0,
        waited_ms: float = 0.0,
        changes: int = 0,
        secrets: Mapping[str, str] = _NONE,
    ) -> Entry:
        """Keep what became of a version, durable, and drop the oldest beyond the bounds.

        `files` is text by name, `secrets` the values that may stand in them, by name. Raises `FilesError` (a full disk, for one); the history is then as it was.
        """
        marked = {name: _hide(text, secrets) for name, text in files.items()}
        names = self._names()
        entry = Entry(
            number=1 + max(names, default=0),
            version=version,
            previous=previous,
            outcome=outcome,
            reason=unmarked(_hide(reason, secrets)),
            at_s=at_s,
            took_ms=took_ms,
            waited_ms=waited_ms,
            changes=changes,
            files={name: digest(text.encode()) for name, text in marked.items()},
            size=sum(len(text.encode()) for text in marked.values()),
        )
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            self._write(entry, marked)
            self._prune()
        except OSError as error:
            raise trouble("cannot record a version in the history", error) from error
        return entry

    def entries(self) -> tuple[Entry, ...]:
        """All of them, the newest first; the damaged ones are left out, and in `damaged`. Raises `FilesError`."""
        self._damaged = {}
        found = (self._read(name) for _, name in sorted(self._names().items(), reverse=True))
        return tuple(entry for entry in found if entry is not None)

    def find(self, version: str) -> Entry | None:
        """The newest entry of that version which has its files; None when there is none."""
        return next((one for one in self.entries() if one.version == version and one.files), None)

    def read(self, version: str, secrets: Mapping[str, str] = _NONE) -> dict[str, str] | None:
        """Its files, text by name, with the `secrets` of the day in their places; None when it is not there or damaged.

        Raises `FilesError` when a secret that stood in it is not there any more.
        """
        files = self._marked(version)
        if files is None:
            return None
        missing = {name for text in files.values() for name in _MARKED.findall(text)} - {*secrets}
        if missing:
            raise FilesError(
                f"cannot read version {version} back: there is no secret {min(missing)} any more; create it, or go back to another version"
            )
        return {
            name: _MARKED.sub(lambda found: secrets[found[1]], text) for name, text in files.items()
        }

    def shown(self, version: str) -> dict[str, str] | None:
        """Its files as they can be shown to anybody who may see the configuration: without secrets."""
        files = self._marked(version)
        return None if files is None else {name: unmarked(text) for name, text in files.items()}

    def diff(self, before: str, after: str) -> str | None:
        """The unified diff between two versions ("": nothing), without secrets; None when one of them is not there."""
        old = {} if not before else self.shown(before)
        new = {} if not after else self.shown(after)
        return None if old is None or new is None else diff(old, new)

    def _names(self) -> dict[int, str]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise trouble("cannot read the history", error) from error
        return {int(found[1]): name for name in names if (found := _NAME.match(name))}

    def _write(self, entry: Entry, files: Mapping[str, str]) -> None:
        name = f"{entry.number:08d}-{entry.version or 'found'}"
        place = os.path.join(self._directory, name)
        temporary = os.path.join(self._directory, _WRITTEN)
        _remove(temporary)
        os.mkdir(temporary, 0o700)
        try:
            for number, text in enumerate(files.values()):
                write_atomically(os.path.join(temporary, str(number)), text.encode(), durable=True)
            write_atomically(
                os.path.join(temporary, "entry.json"), msgspec.json.encode(entry), durable=True
            )
            os.rename(temporary, place)
        except OSError:
            with contextlib.suppress(OSError):
                shutil.rmtree(temporary)
            raise
        sync(self._directory)

    def _read(self, name: str) -> Entry | None:
        try:
            with open(os.path.join(self._directory, name, "entry.json"), "rb") as file:
                entry = msgspec.json.decode(file.read(_ENTRY_BYTES), type=Entry)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._damaged[name] = f"cannot read {name} of the history: {error}"
            return None
        if entry.v != 1:
            self._damaged[name] = f"cannot read {name} of the history: its format is {entry.v}"
            return None
        return entry

    def _marked(self, version: str) -> dict[str, str] | None:
        for entry in self.entries():
            if entry.version == version and entry.files:
                files = self._files(entry)
                if files is not None:
                    return files
        return None

    def _files(self, entry: Entry) -> dict[str, str] | None:
        name = f"{entry.number:08d}-{entry.version or 'found'}"
        files: dict[str, str] = {}
        for number, (file_name, wanted) in enumerate(entry.files.items()):
            try:
                with open(os.path.join(self._directory, name, str(number)), "rb") as file:
                    data = file.read(self._most_bytes)
            except OSError as error:
                self._damaged[name] = f"cannot read {file_name} in {name} of the history: {error}"
                return None
            if digest(data) != wanted:
                self._damaged[name] = f"cannot use {name} of the history: {file_name} has changed"
                return None
            files[file_name] = data.decode()
        return files

    def _prune(self) -> None:
        names = self._names()
        size = 0
        for kept, number in enumerate(sorted(names, reverse=True)):
            entry = self._read(names[number])
            size += 0 if entry is None else entry.size
            # The newest is kept whatever its size.
            if kept and (kept >= self._most or size > self._most_bytes):
                # Killed in between, half an entry would be a damaged one.
                removed = os.path.join(self._directory, _REMOVED)
                _remove(removed)
                os.rename(os.path.join(self._directory, names[number]), removed)
        _remove(os.path.join(self._directory, _REMOVED))


def _remove(directory: str) -> None:
    if os.path.lexists(directory):
        shutil.rmtree(directory)


def unmarked(text: str) -> str:
    """A text of the history with stars where secrets stood."""
    return _MARKED.sub(HIDDEN, text)


def _hide(text: str, secrets: Mapping[str, str]) -> str:
    # The longest first: one may be part of another. No mark holds a value, since names are not secret.
    text = text.replace("\0", "")
    parts = [text]
    for name, value in sorted(secrets.items(), key=lambda item: (-len(item[1]), item[0])):
        if value:
            parts = _split(parts, value, _MARK.format(name))
    return "".join(parts)


def _split(parts: list[str], value: str, mark: str) -> list[str]:
    """Put `mark` in the place of `value` in what is not a mark itself."""
    done: list[str] = []
    for part in parts:
        if part.startswith("\0"):
            done.append(part)
            continue
        for number, piece in enumerate(part.split(value)):
            done += [mark, piece] if number else [piece]
    return done
