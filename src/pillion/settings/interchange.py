"""Settings as JSON: what the settings parser hands to the keeper, and what agent and shipper read from settings.json."""

from pillion.keeper.lean import json
from pillion.settings.kinds import UnfitError
from pillion.settings.problems import Problem, SettingsError
from pillion.settings.tree import ROOT, Settings


def to_json(settings: Settings) -> str:
    """All settings, defaults included, by their field names: seconds and bytes as numbers. `from_json` gives them back exactly."""
    return json.dumps(ROOT.encode(settings), separators=(",", ":"))


def from_json(text: str, source: str = "settings.json") -> Settings:
    """The settings that `to_json` wrote. Raises SettingsError for anything else.

    Of another version's file, unknown members are ignored and missing ones take their default.
    """
    try:
        settings = ROOT.decode(json.loads(text))
    except UnfitError as unfit:
        raise SettingsError(
            [Problem(None, "", unfit.message, unfit.expected, source=source)]
        ) from unfit
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            [Problem(None, "", f"cannot read the JSON: {error}", source=source)]
        ) from error
    assert isinstance(settings, Settings)
    return settings
