"""As whom nginx's workers run: decided here, so that a directory that only root can read is never a silent reason to serve everybody as root."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import PillionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

USUAL = ("www-data", "nobody", "nginx")
"""As packages of nginx name that user, and the one that owns nothing."""
_LIST, _PASS = 5, 1


class Worker(msgspec.Struct, frozen=True):
    """An account by the names that nginx takes: `user USER GROUP;`."""

    user: str
    group: str
    uid: int
    gid: int


def choose_worker(
    wanted: str | None, app_user: str | None, reads: Sequence[str], passes: Sequence[str] = ()
) -> Worker:
    """As whom the workers of an nginx that root starts run. They have to list the directories `reads`, the root first, and to go through `passes`.

    The one that the settings name, whatever it may read: access lists are not looked at here. Without one, the app's user, else the first of
    `USUAL`, else the owner of the root, that may do all that, and never root. Raises `PillionError` with the directory that is in the way of
    the first of them.
    """
    if wanted:
        return _named(wanted, "offload.user")
    refused = f"as anybody but root: there is no user {' or '.join(USUAL)}; make one"
    for number, worker in enumerate(_candidates(app_user, reads[0])):
        obstacle = _first_obstacle(worker, reads, passes)
        if obstacle is None:
            return worker
        if not number:
            refused = f"as {worker.user}: {obstacle}"
    raise PillionError(f'cannot serve {reads[0]} {refused}, or set offload.user = "root"')


def check_ours(wanted: str | None) -> None:
    """Without root, workers run as we do; raises `PillionError` when the settings name somebody else."""
    if wanted and _named(wanted, "offload.user").uid != os.geteuid():
        raise PillionError(
            f"cannot run nginx's workers as {wanted}: only root may; remove offload.user, or start the instance as root"
        )


def _candidates(app_user: str | None, root: str) -> Iterable[Worker]:
    if app_user is not None:
        worker = _named(app_user, "app.user")
        if worker.uid:
            yield worker
    for name in USUAL:
        found = _worker(name)
        if found is not None:
            yield found
    try:
        owner = os.stat(root).st_uid
    except OSError:
        return
    found = _worker(str(owner))
    if owner and found is not None:
        yield found


def _named(name: str, setting: str) -> Worker:
    found = _worker(name)
    if found is None:
        raise PillionError(
            f"cannot run nginx's workers as {name}: there is no such user; set {setting} to one that there is"
        )
    return found


def _worker(name: str) -> Worker | None:
    """The account of that name, or number."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        try:
            account = pwd.getpwuid(int(name))
        except (KeyError, ValueError, OverflowError):
            return None
    try:
        # Without one, nginx takes the group of the user's name, which nobody has not everywhere.
        group = grp.getgrgid(account.pw_gid).gr_name
    except KeyError:
        return None
    return Worker(account.pw_name, group, account.pw_uid, account.pw_gid)


def _first_obstacle(worker: Worker, reads: Sequence[str], passes: Sequence[str]) -> str | None:
    groups = frozenset(os.getgrouplist(worker.user, worker.gid))
    for needed, paths in ((_LIST, reads), (_PASS, passes)):
        for path in paths:
            found = _obstacle(path, needed, worker, groups)
            if found is not None:
                return found
    return None


def _obstacle(path: str, needed: int, worker: Worker, groups: frozenset[int]) -> str | None:
    """What keeps `worker` out of `path`, and how that would end: the outermost of all directories that it is in; None when nothing does."""
    path = os.path.realpath(path)
    chain = [path]
    while chain[-1] != "/":
        chain.append(os.path.dirname(chain[-1]))
    for one in reversed(chain):
        try:
            found = os.stat(one)
        except OSError:
            # What is not there keeps nobody out: a root comes with the first deployment, and until then the app is asked.
            return None
        mode = stat.S_IMODE(found.st_mode)
        bits = needed if one == path else _PASS
        held = mode
        if found.st_uid == worker.uid:
            held >>= 6
        elif found.st_gid in groups:
            held >>= 3
        if held & bits != bits:
            letters = "rX" if bits == _LIST else "x"
            return f"{one} is closed to it (mode {mode:04o}); chmod o+{letters} {one}"
    return None
