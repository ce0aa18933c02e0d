"""What an upgrade is asked and answers: the same for the API and the command."""

from __future__ import annotations

import msgspec


class UpgradeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`python`: the interpreter of the new version (None: the present one); `components`: all of the sidecar
    unless given, `keeper` for the keeper itself; `drain_s`: the bound of the hand-over in seconds."""

    python: str | None = None
    components: list[str] | None = None
    drain_s: float | None = None


class Upgraded(msgspec.Struct, frozen=True, kw_only=True):
    """One component that was replaced: its versions (None: unknown) and its new pid."""

    name: str
    from_version: str | None = msgspec.field(default=None, name="from")
    to_version: str | None = msgspec.field(default=None, name="to")
    pid: int | None = None


class UpgradeAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was replaced, in order; `detail` says what could not be known yet."""

    upgraded: list[Upgraded]
    detail: str = ""
