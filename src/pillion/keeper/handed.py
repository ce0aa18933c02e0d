"""Secrets of our environment for the agent alone: in memory that it inherits, not in an environment that everybody can look at."""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .plan import Plan

HANDED = "secrets"


def secret_names(plan: Plan) -> frozenset[str]:
    """Return the variables that the settings name as secrets: no process of the sidecar inherits them."""
    return frozenset(plan.get("secret_env", ()))


def hand_over(plan: Plan) -> int:
    """Return a sealed memory file with `NAME=value` and a zero byte for each secret that we have, or -1 for none. The caller closes it."""
    wanted = [os.fsencode(name) for name in sorted(secret_names(plan))]
    found = [(name, os.environb[name]) for name in wanted if name in os.environb]
    if not found:
        return -1
    fd = os.memfd_create(HANDED, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    data = b"".join(b"%b=%b\0" % pair for pair in found)
    while data:
        data = data[os.write(fd, data) :]
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd
