"""`--set a.b=v`: a value from the command line, put over those of the file before anything is validated."""

from pillion.settings.kinds import Kind
from pillion.settings.positions import parse_key
from pillion.settings.problems import Path, Place, Problem, dotted
from pillion.settings.shapes import Strmap, Table
from pillion.settings.tree import ROOT

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
        known = _inside(known, part)
        inner = at.setdefault(part, {})
        if not isinstance(inner, dict):
            # `restart = "always"` in the file, and --set app.restart.limit=3 beside it: both hold.
            short = known.shorthand if isinstance(known, Table) else ""
            inner = at[part] = {short: inner} if short else {}
        at = inner
    at[parts[-1]] = _fitting(_inside(known, parts[-1]), value, rest[1:].strip())
    return parts


def _inside(kind: Kind | None, name: str) -> Kind | None:
    if isinstance(kind, Table):
        return kind.member(name)
    return kind.value if isinstance(kind, Strmap) else None


def _fitting(kind: Kind | None, value: object, text: str) -> object:
    """`value`, or the plain words where only those fit: `--set app.env.DEBUG=true` means the word."""
    if kind is None or isinstance(value, str | dict | list):
        return value
    as_value, as_text = Place(), Place()
    kind.read(value, as_value, None)
    kind.read(text, as_text, None)
    return text if as_value.findings and not as_text.findings else value


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
    except RecursionError:
        return _Broken("nested too deeply")
