"""From a settings file and the command line to the keeper's plan; runs in the short-lived child of `cli.entry`."""

from __future__ import annotations

import os

from pillion.lifecycle.plan import keeper_plan, named
from pillion.settings import Problem, SettingsError, load, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.keeper.plan import Plan


def read_plan(path: str | None, overrides: Sequence[str]) -> tuple[Plan, str]:
    """Return the keeper's plan and the text of settings.json. Raises SettingsError with every problem."""
    settings = load(path, overrides)
    if not settings.app.command:
        missing = Problem(
            None,
            "app.command",
            "missing, and no command was given",
            "pillion run -- COMMAND, or app.command in the settings",
            source=path or "settings",
        )
        raise SettingsError([missing])
    settings = named(settings)
    return keeper_plan(settings, os.path.abspath(path) if path else None), to_json(settings)
