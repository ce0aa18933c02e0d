"""The command and the name of a command line as `--set` overrides, so that a reload of the settings finds them again.

`--name` names the instance. The service has that name too unless the settings give it one, so that two instances of one service can run on a host.
"""

from __future__ import annotations

from pillion.keeper import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def command_overrides(command: Sequence[str], name: str | None) -> list[str]:
    """Return overrides in the form `a.b=v`, or `a.b?=v` for what holds only where the settings say nothing; v in TOML."""
    overrides = []
    if command:
        overrides.append(f"app.command=[{', '.join(_toml_string(word) for word in command)}]")
    if name:
        overrides.append(f"app.name?={_toml_string(places.instance_name(name))}")
    return overrides


def _toml_string(word: str) -> str:
    """A TOML basic string (TOML 1.0, String): control characters, quote and backslash escaped."""
    escaped = "".join(
        f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 0x20 or ord(c) == 0x7F else c for c in word
    )
    return f'"{escaped}"'
