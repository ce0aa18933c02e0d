"""Reading below a root that tests can choose: bounded, and empty where there is nothing to read."""

from __future__ import annotations

import os

FILE_BYTES = 256 * 1024


class Files:
    """The files of a host as seen from `root`. Every call may wait for a disk."""

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/")

    def data(self, path: str, most: int = FILE_BYTES) -> bytes:
        """The first `most` bytes of the file at the absolute `path`; empty when it cannot be read."""
        try:
            with open(f"{self._root}{path}", "rb") as file:
                return file.read(most)
        except OSError:
            return b""

    def text(self, path: str) -> str:
        """The same as text; what is not UTF-8 is replaced."""
        return self.data(path).decode("utf-8", "replace")

    def line(self, path: str) -> str | None:
        """The file's only line, or None when it is empty or not there."""
        return self.text(path).strip("\0 \t\r\n") or None

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory."""
        return os.path.lexists(f"{self._root}{path}")

    def link(self, path: str) -> str | None:
        """Where a symbolic link leads, None when it cannot be told."""
        try:
            return os.readlink(f"{self._root}{path}")
        except OSError:
            return None

    def names(self, path: str) -> list[str] | None:
        """What is in the directory, None when it cannot be read."""
        try:
            return os.listdir(f"{self._root}{path}")
        except OSError:
            return None
