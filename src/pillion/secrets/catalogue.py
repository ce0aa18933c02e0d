"""Which secrets there are by name, and where each is to be read: names are the app's, places are the platform's.

Nothing here has ever seen a value.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import msgspec

from pillion.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["file", "env", "credential", "directory"]

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd puts the credentials of a unit (systemd.exec(5), "Credentials")."""
MOST_FILES = 1000
"""How many files of one directory are secrets; a mounted directory holds a handful."""


class Source(msgspec.Struct, frozen=True):
    """One entry of the settings: `place` is a path, or the name of a variable for `env`.

    Exactly one kind; a `directory` stands for as many secrets as it has files.
    """

    name: str
    kind: Kind
    place: str
    operator_only: bool = False

    def at(self, environment: Mapping[str, str]) -> Place:
        """Where the value is, `directory` excepted. `environment` is where systemd's directory is looked up."""
        if self.kind == "env":
            return Place(self.name, "env", None, self.place, operator_only=self.operator_only)
        path = self.place
        if self.kind == "credential":
            directory = environment.get(CREDENTIALS_VARIABLE)
            path = f"{directory}/{self.place}" if directory else ""
        return Place(self.name, self.kind, path, None, operator_only=self.operator_only)

    def file(self, name: str) -> Place:
        """The secret that the file `name` of this directory is."""
        path = f"{self.place}/{name}"
        return Place(
            f"{self.name}/{name}", "directory", path, None, operator_only=self.operator_only
        )


class Place(msgspec.Struct, frozen=True):
    """One secret: its value is the content of `path`, or that of the variable `variable`.

    An empty `path` is a credential of a keeper that systemd gave none.
    """

    name: str
    kind: Kind
    path: str | None
    variable: str | None
    operator_only: bool = False

    @property
    def where(self) -> str:
        """The place in words, for errors; never the value."""
        if self.variable is not None:
            return f"the variable {self.variable}"
        return self.path or f"${CREDENTIALS_VARIABLE}, which is not set,"


class Catalogue:
    """The secrets of the settings; `environment` tells where systemd's credentials are."""

    def __init__(self, sources: tuple[Source, ...], environment: Mapping[str, str]) -> None:
        self._sources = {source.name: source for source in sources}
        self._environment = environment

    def __len__(self) -> int:
        return len(self._sources)

    def find(self, name: str) -> Place:
        """The place of the secret `name`; `RefusedError` 404 when the settings name none such."""
        source = self._sources.get(name)
        if source is not None and source.kind != "directory":
            return source.at(self._environment)
        directory, _, file = name.rpartition("/")
        source = self._sources.get(directory)
        if source is None or source.kind != "directory" or not is_file_name(file):
            raise RefusedError(
                404,
                "No Such Secret",
                f"cannot find a secret {name[:128]!r}: the settings name none such; see [secrets]",
            )
        return source.file(file)

    def all(self) -> list[Place]:
        """Every secret in the order of names; looks into the directories, so it may wait for a disk."""
        places: list[Place] = []
        for source in self._sources.values():
            if source.kind == "directory":
                places += [source.file(name) for name in _files(source.place)]
            else:
                places.append(source.at(self._environment))
        return sorted(places, key=lambda place: place.name)

    def directories(self) -> list[str]:
        """Where secrets may come and go by themselves."""
        return [s.place for s in self._sources.values() if s.kind == "directory"]


def is_file_name(name: str) -> bool:
    """Whether `name` may be a secret's file; Kubernetes' own entries of a mount begin with two dots."""
    return bool(name) and not name.startswith("..") and name != "." and "\0" not in name


def _files(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            names = [e.name for e in entries if is_file_name(e.name) and e.is_file()]
    except OSError:
        return []  # not mounted (yet): no secrets, which is what the list says
    return sorted(names)[:MOST_FILES]
