"""The app as health sees it: what the keeper tells of its process."""

from __future__ import annotations

import msgspec


class AppFacts(msgspec.Struct, frozen=True):
    """`identity` names one process of the app and no other, empty while there is none; `runs` is false while it is being stopped.

    `reasons` say why it cannot take work, none when it can.
    """

    identity: str = ""
    runs: bool = False
    reasons: tuple[str, ...] = ("the keeper has not told anything yet",)
