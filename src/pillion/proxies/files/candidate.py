"""The files of a version that is not served yet, in a directory beside the served one, where the proxy's own validator can look at them as if they were.

A file that replaces another has its owner, group, mode, label and access list from the first moment that anything is in it. A new one has mode 0640 and the group
of its directory: the proxy may run as a user of that group, and nobody else has a reason to read what may hold a secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.files.site import INSIDE, FilesError, sync, trouble

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pillion.proxies.files.site import Site

WHAT = "candidate"
NEW_MODE = 0o640
MOST_FILES = 1000
MOST_BYTES = 64 << 20
MOST_SIBLINGS = 10_000

_MASK = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
# A file keeps what decides who may read it. Other attributes are their owner's affair and would be stale.
_ATTRIBUTES = ("security.selinux", "system.posix_acl_access")


class Candidate(msgspec.Struct, frozen=True):
    """Files that are complete on disk: `digests` (SHA-256, hex) by name, `main` is the one that the proxy is started with."""

    directory: str
    main: str
    digests: dict[str, str]


def digest(data: bytes) -> str:
    """What a content is recognised by: SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def write_candidate(
    site: Site, main: str, files: Mapping[str, str], dropped: Collection[str] = ()
) -> Candidate:
    """Write `files` (text by name, relative to the served directory) beside the served ones and return what was written, durable.

    What else is in the served directory is linked, so that relative includes resolve; the files in `dropped`, which this version no longer has, are not. An earlier
    candidate is removed. Blocks: call it from a thread. Raises `FilesError`; the served files are never touched.
    """
    what = f"cannot write the candidate of {site.name}"
    _accept(what, main, files)
    try:
        _served(site, what)
        clear(site, WHAT)
        directory = site.place(WHAT)
        os.makedirs(directory, 0o700)
        digests = {
            name: _write(site, os.path.join(directory, name), name, text)
            for name, text in files.items()
        }
        folders = _folders(files)
        for folder in folders:
            _link_siblings(site, directory, folder, {*files, *folders, *dropped})
            sync(os.path.join(directory, folder))
        sync(os.path.dirname(directory))
    except OSError as error:
        with contextlib.suppress(OSError):
            clear(site, WHAT)
        raise trouble(what, error) from error
    except FilesError:
        with contextlib.suppress(OSError):
            clear(site, WHAT)
        raise
    return Candidate(directory, main, digests)


def clear(site: Site, what: str) -> None:
    """Remove what is left of a `candidate` or of the `previous` files. Blocks; raises `OSError`."""
    for place in site.places(what):
        if os.path.lexists(place):
            shutil.rmtree(place)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(site.directory, INSIDE))


def imitate(path: str, descriptor: int) -> None:
    """Give the open file the owner, mode, label and access list of the one at `path`; raises `OSError` when it is not ours to give."""
    model = os.stat(path)
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (model.st_uid, model.st_gid):
        os.fchown(descriptor, model.st_uid, model.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(model.st_mode) & _MASK)
    for name in _ATTRIBUTES:
        with contextlib.suppress(OSError):
            os.setxattr(descriptor, name, os.getxattr(path, name))


def _accept(what: str, main: str, files: Mapping[str, str]) -> None:
    if main not in files:
        raise FilesError(f"{what}: its main file {main} is not among its files")
    size = sum(len(text) for text in files.values())
    if len(files) > MOST_FILES or size > MOST_BYTES:
        raise FilesError(
            f"{what}: {len(files)} files of {size} characters are too many; at most {MOST_FILES} of {MOST_BYTES} bytes"
        )
    for name in files:
        parts = name.split("/")
        if "\0" in name or parts[0] == INSIDE or not all(parts) or {".", ".."} & {*parts}:
            raise FilesError(
                f"{what}: {name!r} is no file name below its directory; choose another one"
            )
    for folder in _folders(files):
        if folder in files:
            raise FilesError(f"{what}: {folder} is a file and a directory; rename one of them")


def _served(site: Site, what: str) -> None:
    """The served directory is there, and a directory."""
    if site.ours:
        os.makedirs(site.directory, 0o700, exist_ok=True)
    elif not os.path.isdir(site.directory):
        raise FilesError(
            f"{what}: there is no directory {site.directory}; create it, or set the proxy's directory",
            passing=True,
        )


def _folders(files: Collection[str]) -> tuple[str, ...]:
    """The directories that files lie in, the top one ("") first."""
    found = {""}
    for name in files:
        while name := os.path.dirname(name):
            found.add(name)
    return tuple(sorted(found))


def _write(site: Site, path: str, name: str, text: str) -> str:
    live = site.live(name)
    model = live if _replaceable(site, live) else None
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    data = text.encode()
    # Nobody else can open it before it has its owner and mode.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        if model is not None:
            imitate(model, descriptor)
        else:
            _as_new(live, descriptor)
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(descriptor)
    return digest(data)


def _replaceable(site: Site, live: str) -> bool:
    """Whether a file is replaced; an arrangement of somebody else's (a link, a directory) is not destroyed."""
    try:
        mode = os.lstat(live).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISREG(mode):
        return True
    kind = f"a link to {os.readlink(live)}" if stat.S_ISLNK(mode) else "no plain file"
    raise FilesError(
        f"cannot replace {live} for {site.name}: it is {kind}; name the place that it leads to, or remove it"
    )


def _as_new(live: str, descriptor: int) -> None:
    folder = os.path.dirname(live)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    # One who may not give it away leaves it to a group of its own, which is no danger.
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, -1, os.stat(folder).st_gid)
    os.fchmod(descriptor, NEW_MODE)


def _link_siblings(site: Site, directory: str, folder: str, ours: set[str]) -> None:
    served = os.path.join(site.directory, folder)
    if not os.path.isdir(served):
        return
    if folder and (os.path.islink(served) or os.stat(served).st_dev != os.stat(directory).st_dev):
        raise FilesError(
            f"cannot write the candidate of {site.name}: {served} leads to another place, where no file can be moved to; name that place"
        )
    linked = 0
    with os.scandir(served) as entries:
        for entry in entries:
            name = os.path.join(folder, entry.name)
            if name in ours or name == INSIDE:
                continue
            linked += 1
            if linked > MOST_SIBLINGS:
                raise FilesError(
                    f"cannot write the candidate of {site.name}: more than {MOST_SIBLINGS} other files are in {served}; give it a directory of its own"
                )
            os.symlink(entry.path, os.path.join(directory, name))
