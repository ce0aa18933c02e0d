"""Which directories have to be watched for a path to be known: every one in which a step of the path could be swapped."""

from __future__ import annotations

import os

# As the kernel follows them (path_resolution(7)).
_MOST_LINKS = 40


def watched_directories(path: str) -> set[str]:
    """The directory of the file that `path` leads to, and that of every symbolic link on the way.

    `current -> v7` is swapped in its own directory, and so is the `..data` of a Kubernetes mount. Where the path ends
    too early, the last directory that there is: what is missing will appear in it.
    """
    steps = os.path.abspath(path).split("/")[1:]
    found: set[str] = set()
    here = "/"
    links = 0
    while steps:
        step = steps.pop(0)
        if step in ("", "."):
            continue
        if step == "..":
            here = os.path.dirname(here)
            continue
        ahead = os.path.join(here, step)
        try:
            target = os.readlink(ahead)
        except OSError:
            if not steps or not os.path.isdir(ahead):
                break  # the file itself, or what is not there
            here = ahead
            continue
        found.add(here)
        links += 1
        if links > _MOST_LINKS:
            break
        if target.startswith("/"):
            here = "/"
        steps = target.split("/") + steps
    found.add(here)
    return found
