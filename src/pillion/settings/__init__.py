"""pillion.toml to Settings, or all problems at once. Standard library only: it runs in a short-lived child at every start."""

from pillion.settings.changes import Change, diff
from pillion.settings.checks import notices
from pillion.settings.interchange import from_json, to_json
from pillion.settings.problems import Problem, SettingsError
from pillion.settings.reading import load, parse
from pillion.settings.schema import json_schema
from pillion.settings.tree import Settings

__all__ = [
    "Change",
    "Problem",
    "Settings",
    "SettingsError",
    "diff",
    "from_json",
    "json_schema",
    "load",
    "notices",
    "parse",
    "to_json",
]
