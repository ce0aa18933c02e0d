"""Moves a checked candidate into the served directory, or the last version back, so that being killed anywhere in between costs neither.

The files that are replaced keep a second name (a hard link) until the new ones are proved: moving back is renames alone, as moving in is, and needs no room on a
disk that may be full by then. The order of the steps, and what the next agent makes of each: `intent`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.files.candidate import WHAT, clear, digest, imitate
from pillion.proxies.files.intent import Intent, read_intent, write_intent
from pillion.proxies.files.site import FilesError, sync, trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pillion.proxies.files.candidate import Candidate
    from pillion.proxies.files.site import Site

KEPT = "previous"

_BEGUN = re.compile(r"\.\d+\.new\Z|\Aspare\.new\Z")


class Standing(msgspec.Struct, frozen=True):
    """What is in the served directory: `live` is the last version that was proved ("" before the first), `unfinished` one whose files are in place and that is
    still to be loaded and proved; `returned` one that was on its way when its agent ended, and was taken back."""

    live: str = ""
    unfinished: str = ""
    returned: str = ""


def move(site: Site, candidate: Candidate, version: str, previous: str, now_s: float) -> None:
    """Put the candidate's files in place of the served ones; from then on `version` is unfinished until `finish` or `take_back`.

    `previous` is the version that is served, "" for none; `now_s` seconds since the epoch. Blocks: call it from a thread. Raises `FilesError`: when it does, the
    served files are as they were, or `recover` and `take_back` know what to do.
    """
    what = f"cannot move version {version} of {site.name} into {site.directory}"
    try:
        intent = _keep(site, candidate, version, previous, now_s)
        os.makedirs(site.state, 0o700, exist_ok=True)
        write_intent(site.intent, intent)
        _forward(site, intent)
    except OSError as error:
        raise trouble(what, error) from error


def finish(site: Site) -> None:
    """The version that was moved in is proved: it is the last good one now. Blocks. Raises `FilesError`."""
    try:
        if os.path.exists(site.intent):
            os.replace(site.intent, site.applied)
            sync(site.state)
        _tidy(site)
    except OSError as error:
        raise trouble(f"cannot finish the change of {site.name}", error) from error


def take_back(site: Site, spare: Mapping[str, str] | None = None) -> str:
    """Put the files back that the unfinished version has replaced, and return whose version they are ("" for what was there before the first).

    `spare` is that version's text by name, from the history, for files that somebody has removed meanwhile. Without anything unfinished it does nothing.
    Blocks. Raises `FilesError`; it can then be called again.
    """
    try:
        if os.path.exists(site.intent):
            os.replace(site.intent, site.returning)
            sync(site.state)
        intent = read_intent(site.returning)
        if intent is None:
            applied = read_intent(site.applied)
            return "" if applied is None else applied.version
        _backward(site, intent, spare or {})
        os.unlink(site.returning)
        sync(site.state)
        _tidy(site)
    except OSError as error:
        raise trouble(f"cannot take the last version of {site.name} back", error) from error
    return intent.previous


def recover(site: Site, spare: Mapping[str, str] | None = None) -> Standing:
    """Finish what an agent before this one has begun, and say what is in place. `spare` as in `take_back`.

    A version on its way in is moved in completely, unless its files are no longer as they were checked: then it is taken back, as is one that was on
    its way back. Blocks. Raises `FilesError`; it can then be called again.
    """
    try:
        if os.path.exists(site.returning):
            intent = read_intent(site.returning)
            take_back(site, spare)
            return Standing(_live(site), returned="" if intent is None else intent.version)
        intent = read_intent(site.intent)
        if intent is None:
            _tidy(site)
            return Standing(_live(site))
        if _complete(site, intent):
            _forward(site, intent)
            return Standing(_live(site), unfinished=intent.version)
        take_back(site, spare)
        return Standing(_live(site), returned=intent.version)
    except OSError as error:
        raise trouble(f"cannot finish what was begun with {site.name}", error) from error


def applied(site: Site) -> Intent | None:
    """What was written last and proved; None before the first. Blocks; raises `FilesError`."""
    try:
        return read_intent(site.applied)
    except OSError as error:
        raise trouble(f"cannot read the state of {site.name}", error) from error


def _live(site: Site) -> str:
    found = read_intent(site.applied)
    return "" if found is None else found.version


def _keep(site: Site, candidate: Candidate, version: str, previous: str, now_s: float) -> Intent:
    """Give everything that will be replaced or dropped a second name."""
    clear(site, KEPT)
    kept = os.path.join(os.path.dirname(candidate.directory), _beside(candidate.directory))
    os.makedirs(kept, 0o700)
    last = read_intent(site.applied)
    dropped = () if last is None else tuple(sorted({*last.digests} - {*candidate.digests}))
    before: dict[str, str] = {}
    folders = {kept}
    for name in (*candidate.digests, *dropped):
        found = _digest(site.live(name))
        if found is None:
            continue
        place = os.path.join(kept, name)
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
        folders.add(os.path.dirname(place))
        _second_name(site.live(name), place)
        before[name] = found
    for folder in folders:
        sync(folder)
    sync(os.path.dirname(kept))
    return Intent(
        version,
        previous,
        candidate.main,
        candidate.digests,
        before,
        dropped,
        candidate.directory,
        kept,
        now_s,
    )


def _beside(directory: str) -> str:
    """The name of the directory of kept files, which lies where the candidate lies."""
    name = os.path.basename(directory)
    return name[: -len(WHAT)] + KEPT


def _second_name(path: str, place: str) -> None:
    try:
        os.link(path, place)
    except OSError:
        # File systems without hard links, and files that may not be linked (fs.protected_hardlinks): a copy does as well.
        shutil.copyfile(path, place)
        with open(place, "rb+") as file:
            imitate(path, file.fileno())
            os.fsync(file.fileno())


def _complete(site: Site, intent: Intent) -> bool:
    """Whether every file is either still in the candidate or in its place already, as it was checked."""
    for name, wanted in intent.digests.items():
        waiting = _digest(os.path.join(intent.candidate, name))
        if (waiting or _digest(site.live(name))) != wanted:
            return False
    return True


def _forward(site: Site, intent: Intent) -> None:
    for name in intent.order:
        _rename(os.path.join(intent.candidate, name), site.live(name))
    for name in intent.dropped:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(site.live(name))
    _sync_folders(site, (*intent.digests, *intent.dropped))


def _backward(site: Site, intent: Intent, spare: Mapping[str, str]) -> None:
    # The other way round: as long as the new main file is there, so is what it names.
    for name in (*intent.dropped, *reversed(intent.order)):
        if name not in intent.before:
            continue
        if not _rename(os.path.join(intent.kept, name), site.live(name)):
            _put_spare(site, intent, name, spare)
    for name in intent.digests:
        if name not in intent.before:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(site.live(name))
    _sync_folders(site, (*intent.digests, *intent.dropped))


def _put_spare(site: Site, intent: Intent, name: str, spare: Mapping[str, str]) -> None:
    """The kept file is gone: it was moved back already, or somebody has removed it."""
    live = site.live(name)
    if _digest(live) == intent.before[name]:
        return
    if name not in spare:
        raise FilesError(
            f"cannot take {live} of {site.name} back: {os.path.join(intent.kept, name)} was removed; put the file there, or apply another version"
        )
    temporary = os.path.join(site.state, "spare.new")
    with open(temporary, "w") as file:
        if os.path.exists(live):
            imitate(live, file.fileno())
        file.write(spare[name])
        file.flush()
        os.fsync(file.fileno())
    try:
        os.replace(temporary, live)
    except OSError:
        # The state may be on another file system.
        shutil.copyfile(temporary, live)
        os.unlink(temporary)


def _rename(source: str, target: str) -> bool:
    """Whether there was something to move."""
    if not os.path.lexists(source):
        return False
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    os.replace(source, target)
    return True


def _sync_folders(site: Site, names: Iterable[str]) -> None:
    for folder in {os.path.dirname(site.live(name)) for name in names}:
        if os.path.isdir(folder):
            sync(folder)


def _digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return digest(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _tidy(site: Site) -> None:
    clear(site, WHAT)
    clear(site, KEPT)
    # What `write_atomically` had begun when its process was killed; nobody else writes here while we do.
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(site.state):
            if _BEGUN.search(name):
                os.unlink(os.path.join(site.state, name))
