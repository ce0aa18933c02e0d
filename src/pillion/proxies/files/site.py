"""Where everything about one proxy lies on disk, and how trouble with it is said, so that each step of applying speaks of the same places."""

from __future__ import annotations

import os

import msgspec

from pillion.errors import PillionError

# Not seen by `include conf.d/*.conf`: nginx's globs, like the shell's, leave out what begins with a dot.
INSIDE = ".pillion"


class FilesError(PillionError):
    """Something about a proxy's files could not be done, and nothing of it is half done that `moving.recover` does not finish.

    `passing` when the cause may go away by itself: a full disk, a directory that cannot be written at present.
    """

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class Site(msgspec.Struct, frozen=True):
    """The places of the proxy `name`: `directory` is what it serves, `state` is ours alone. `ours`: nobody else keeps files in `directory`."""

    name: str
    directory: str
    state: str
    ours: bool = True

    @property
    def intent(self) -> str:
        """There while files are moved, and until the version is proved."""
        return os.path.join(self.state, "intent.json")

    @property
    def returning(self) -> str:
        """The intent under another name: there while files are moved back."""
        return os.path.join(self.state, "return.json")

    @property
    def applied(self) -> str:
        """The intent that was carried out and proved last."""
        return os.path.join(self.state, "applied.json")

    @property
    def edited(self) -> str:
        """The foreign edits that were told already."""
        return os.path.join(self.state, "edited.json")

    @property
    def history(self) -> str:
        """The directory of earlier versions."""
        return os.path.join(self.state, "history")

    def live(self, name: str) -> str:
        """Where the file `name` is served from."""
        return os.path.join(self.directory, name)

    def places(self, what: str) -> tuple[str, str]:
        """Both directories that may be used for `what`: beside the served one, and in it."""
        return f"{self.directory}.{what}", os.path.join(self.directory, INSIDE, what)

    def place(self, what: str) -> str:
        """The directory for `what` (`candidate`, `previous`): on the file system of the served one, so that a file moves by a rename.

        It is beside the served one, or in it when that is a mount point or its parent cannot be written. Blocks; raises `OSError`.
        """
        beside, inside = self.places(what)
        parent = os.path.dirname(self.directory)
        same = os.stat(parent).st_dev == os.stat(self.directory).st_dev
        return beside if same and os.access(parent, os.W_OK | os.X_OK) else inside


def trouble(what: str, error: OSError) -> FilesError:
    """The error that says `what` (beginning with "cannot") could not be done, by the operating system's word."""
    where = f": {error.filename}" if error.filename else ""
    why = error.strerror or f"{error}"
    return FilesError(
        f"{what}{where}: {why}; make room or permit it, then it goes on", passing=True
    )


def sync(directory: str) -> None:
    """Have the names in `directory` reach the disk. Blocks; raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
