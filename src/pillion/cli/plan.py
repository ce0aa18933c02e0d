"""From a settings file and the command line to the keeper's plan; runs in the short-lived child of `cli.entry`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pillion.keeper import places
from pillion.lifecycle.plan import keeper_plan
from pillion.settings import Problem, SettingsError, load, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.keeper.plan import Plan


def read_plan(
    path: str | None, overrides: Sequence[str], command: Sequence[str], name: str | None
) -> tuple[Plan, str]:
    """Return the keeper's plan and the text of settings.json. Raises SettingsError with every problem."""
    extra = list(overrides)
    if command:
        extra.append(f"app.command={_toml_list(command)}")
    if name:
        extra.append(f"app.name={_toml_string(name)}")
    settings = load(path, extra)
    if not settings.app.command:
        missing = Problem(
            None,
            "app.command",
            "missing, and no command was given",
            "pillion run -- COMMAND, or app.command in the settings",
            source=path or "settings",
        )
        raise SettingsError([missing])
    plan = keeper_plan(settings, os.path.abspath(path) if path else None)
    if not plan["app"]["name"]:
        plan["app"]["name"] = places.instance_name(os.path.basename(plan["app"]["command"][0]))
    return plan, to_json(settings)


def _toml_list(words: Sequence[str]) -> str:
    return f"[{', '.join(_toml_string(word) for word in words)}]"


def _toml_string(word: str) -> str:
    """A TOML basic string (TOML 1.0, String): control characters, quote and backslash escaped."""
    escaped = "".join(
        f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 0x20 or ord(c) == 0x7F else c for c in word
    )
    return f'"{escaped}"'
