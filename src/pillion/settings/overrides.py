"""`--set a.b=v`: a value from the command line, put over those of the file before anything is validated."""

from typing import TYPE_CHECKING

from pillion.settings.positions import parse_key
from pillion.settings.problems import Path, Problem, dotted
from pillion.settings.shapes import Table
from pillion.settings.tree import ROOT

if TYPE_CHECKING:
    from pillion.settings.kinds import Kind

Raw = dict[str, object]


def source_of(override: str) -> str:
    """How a problem names the override."""
    return f"--set {override}"


def apply_override(table: Raw, override: str) -> Path | Problem:
    """Put one override into `table`, and return its path; or the problem, with `table` as it was."""
    try:
        parts, rest = parse_key(override)
    except ValueError:
        parts, rest = (), ""
    if not parts or not rest.startswith("="):
        return Problem(
            None,
            "",
            "cannot read this",
            "a setting and its value, such as app.port=3000",
            source=source_of(override),
        )
    value = _value(rest[1:].strip())
    if isinstance(value, _Broken):
        message = f"cannot read the value: {value}"
        return Problem(
            None,
            dotted(parts),
            message,
            "a TOML value, or plain words",
            source=source_of(override),
        )
    at = table
    known: Kind | None = ROOT
    for part in parts[:-1]:
        known = known.member(part) if isinstance(known, Table) else None
        inner = at.setdefault(part, {})
        if not isinstance(inner, dict):
            # `restart = "always"` in the file, and --set app.restart.limit=3 beside it: both hold.
            short = known.shorthand if isinstance(known, Table) else ""
            inner = at[part] = {short: inner} if short else {}
        at = inner
    at[parts[-1]] = value
    return parts


class _Broken(str):
    """Why a value that is meant as TOML cannot be read."""

    __slots__ = ()


def _value(text: str) -> object:
    import tomllib  # not at the top: agent and shipper read JSON, and need not pay for it

    try:
        return tomllib.loads(f"v = {text}")["v"] if "\n" not in text else text
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("[", "{", '"', "'") and text:
            return _Broken(str(error).partition(" (at ")[0])
        return text
