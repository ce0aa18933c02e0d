"""`--set a.b=v`: a value from the command line, put over those of the file before anything is validated."""

from pillion.settings.positions import parse_key
from pillion.settings.problems import Path, Problem

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
            ".".join(parts),
            message,
            "a TOML value, or plain words",
            source=source_of(override),
        )
    at = table
    for part in parts[:-1]:
        inner = at.setdefault(part, {})
        if not isinstance(inner, dict):
            # `restart = "always"` in the file gives way to --set app.restart.limit=3; the table's reader judges the rest.
            inner = at[part] = {}
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
