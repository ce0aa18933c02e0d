"""Compresses files beforehand, better than there is time for on the way, into a tree of our own: nothing is ever written below the root.

Everything here blocks and belongs into a thread of its own, of the lowest priority; zlib and brotli release the interpreter's lock.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
import zlib
from typing import TYPE_CHECKING, Protocol

import msgspec

from pillion.base.files import write_atomically
from pillion.proxies.offload.tree import Made, Original, wants, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_TREE_BYTES = 512 << 20
MOST_SEEN = 200_000
"""Files and directories that are looked at below the root."""
MOST_DEPTH = 40
_CHUNK = 128 << 10
# 31: a gzip header (zlib.h, deflateInit2).
_GZIP = 31
# Of a larger file the last percents are not worth seconds for each MiB.
_FINEST_BYTES = 2 << 20
_WORTH = 0.95


class Coder(Protocol):
    """Takes a file in pieces."""

    def process(self, data: bytes) -> bytes:
        """What is ready after `data`."""

    def finish(self) -> bytes:
        """The rest."""


class Report(msgspec.Struct, frozen=True):
    """What a run came to. `directories` are those that were looked at, to be watched. `trouble` is one line, empty when all went well, and `left_out` counts what
    is beyond a bound; such files are served all the same, compressed on the way."""

    made: int = 0
    removed: int = 0
    kept: int = 0
    left_out: int = 0
    later_s: float | None = None
    directories: tuple[str, ...] = ()
    trouble: str = ""


class _Ended(Exception):
    """The run was told to end."""


class Compressor:
    """Keeps `tree` as the compressed image of `root`; `index` is the file that says of what it was made. `names` says which paths are wanted.

    `codings` are those made, of `gz` and `br`; `br` is left out where the package brotli is not installed. `stopped` is asked between pieces.
    """

    def __init__(
        self,
        root: str,
        tree: str,
        index: str,
        names: Callable[[str], bool],
        *,
        codings: tuple[str, ...] = ("gz", "br"),
        stopped: Callable[[], bool] = bool,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._root = root
        self._tree = tree
        self._index = index
        self._names = names
        self._codings = tuple(one for one in codings if one != "br" or _brotli_there())
        self._stopped = stopped
        self._clock_ns = clock_ns
        self._directories: list[str] = []
        self._left_out = 0

    def run(self) -> Report:
        """Bring the tree level with the root. What is no longer right is gone first."""
        self._directories, self._left_out = [], 0
        made = self._read_index()
        count = removed = 0
        trouble = ""
        originals = self._originals()
        present = dict(self._present())
        todo = work(originals, made, present, self._clock_ns())
        for path in todo.remove:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._tree, path))
            removed += 1
            present.pop(path, None)
        made = {
            path: one for path, one in made.items() if path in originals and path not in todo.make
        }
        room = MOST_TREE_BYTES - sum(present.values())
        left_out = todo.left_out + self._left_out
        try:
            for path in todo.make:
                if room <= 0:
                    left_out += 1
                    continue
                sizes = self._make(path, originals[path])
                if sizes is None:
                    continue
                made[path] = Made(originals[path], sizes)
                room -= sum(sizes.values())
                count += 1
        except _Ended:
            trouble = "told to end"
        except OSError as error:
            trouble = f"cannot compress {error.filename or self._root}: {error.strerror}; files are compressed on the way"
        try:
            os.makedirs(self._tree, exist_ok=True)
            write_atomically(self._index, msgspec.json.encode(made))
        except OSError as error:
            trouble = (
                trouble
                or f"cannot write {self._index}: {error.strerror}; files are compressed again at the next start"
            )
        return Report(
            made=count,
            removed=removed,
            kept=len(made) - count,
            left_out=left_out,
            later_s=todo.later_s,
            directories=tuple(self._directories),
            trouble=trouble,
        )

    def _read_index(self) -> dict[str, Made]:
        try:
            with open(self._index, "rb") as file:
                return msgspec.json.decode(file.read(), type=dict[str, Made])
        except (OSError, msgspec.DecodeError):
            # Nothing in the tree is believed then, and all of it is made again.
            return {}

    def _originals(self) -> dict[str, Original]:
        found: dict[str, Original] = {}
        for path, entry in self._files(self._root, self._directories):
            # Who compresses for himself knows better: his are served.
            if path.endswith((".gz", ".br")):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if wants(path, status.st_size, self._names):
                    found[path] = _original(status)
        for path in list(found):
            if any(
                os.path.lexists(os.path.join(self._root, f"{path}.{end}")) for end in ("gz", "br")
            ):
                del found[path]
        return found

    def _present(self) -> Iterator[tuple[str, int]]:
        for path, entry in self._files(self._tree, []):
            with contextlib.suppress(OSError):
                yield path, entry.stat(follow_symlinks=False).st_size

    def _files(self, top: str, directories: list[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Regular files below `top` by their relative paths; links are not followed, hidden directories not entered."""
        waiting = [("", 0)]
        seen = 0
        while waiting:
            below, depth = waiting.pop()
            directory = os.path.join(top, below) if below else top
            directories.append(directory)
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        seen += 1
                        if seen > MOST_SEEN or depth > MOST_DEPTH:
                            self._left_out += 1
                            break
                        path = f"{below}/{entry.name}" if below else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            if not entry.name.startswith("."):
                                waiting.append((path, depth + 1))
                        elif entry.is_file(follow_symlinks=False):
                            yield path, entry
            except OSError:
                continue

    def _make(self, path: str, original: Original) -> dict[str, int] | None:
        """The sizes of what was made; None when the file is no longer the one that was seen."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            source = os.open(os.path.join(self._root, path), flags)
        except OSError:
            return None
        sizes: dict[str, int] = {}
        with open(source, "rb", buffering=0) as file:
            for coding in self._codings:
                size = self._write(
                    file.fileno(), os.path.join(self._tree, f"{path}.{coding}"), coding, original
                )
                if size is None:
                    self._forget(path, sizes)
                    return None
                if size:
                    sizes[coding] = size
        return sizes

    def _write(self, source: int, target: str, coding: str, original: Original) -> int | None:
        """The size of the file made; 0 when it is no gain, None when the original changed meanwhile."""
        self._directory(os.path.dirname(target))
        temporary = f"{target}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with open(descriptor, "wb") as file:
                # Whatever the umask says: nginx's workers read it.
                os.fchmod(descriptor, 0o644)
                coder = _coder(coding, original.size)
                at = 0
                # Not to its end: one that grows has none.
                while at < original.size and (piece := os.pread(source, _CHUNK, at)):
                    if self._stopped():
                        raise _Ended
                    at += len(piece)
                    file.write(coder.process(piece))
                file.write(coder.finish())
                file.flush()
                size = os.fstat(descriptor).st_size
                # So that a client's copy of the one is as new as of the other.
                os.utime(descriptor, ns=(original.modified_ns, original.modified_ns))
            if _original(os.fstat(source)) != original:
                os.unlink(temporary)
                return None
            if size > original.size * _WORTH:
                os.unlink(temporary)
                return 0
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        return size

    def _directory(self, path: str) -> None:
        if not os.path.isdir(path):
            self._directory(os.path.dirname(path))
            os.mkdir(path, 0o755)
            os.chmod(path, 0o755)  # noqa: S103 # as for the files; who gets here, the tree's top says

    def _forget(self, path: str, sizes: dict[str, int]) -> None:
        for coding in sizes:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._tree, f"{path}.{coding}"))


class _Gzip:
    def __init__(self) -> None:
        self._made = zlib.compressobj(9, zlib.DEFLATED, _GZIP)

    def process(self, data: bytes) -> bytes:
        return self._made.compress(data)

    def finish(self) -> bytes:
        return self._made.flush()


def _coder(coding: str, size: int) -> Coder:
    if coding == "gz":
        return _Gzip()
    import brotli

    # A window of 1 MiB: 3 MB of memory at the finest, 20 MB with the larger one.
    made: Coder = brotli.Compressor(quality=11 if size <= _FINEST_BYTES else 9, lgwin=20)
    return made


def _brotli_there() -> bool:
    from importlib.util import find_spec

    return find_spec("brotli") is not None


def _original(status: os.stat_result) -> Original:
    assert stat.S_ISREG(status.st_mode)
    return Original(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
