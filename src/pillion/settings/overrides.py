"""`--set a.b=v`: a value from the command line, put over those of the file before anything is validated."""

from pillion.settings.kinds import Kind
from pillion.settings.plain import is_words, plain_value
from pillion.settings.positions import parse_key
from pillion.settings.problems import Path, Place, Problem, dotted
from pillion.settings.shapes import Strmap, Table
from pillion.settings.tables import Tablelist, Tablemap
from pillion.settings.tree import ROOT

Raw = dict[str, object]


def source_of(override: str) -> str:
    """How a problem names the override."""
    return f"--set {override}"


def apply_override(table: Raw, override: str) -> Path | Problem:
    """Put one override into `table`, and return its path; or the problem.

    `a.b=v` sets, `a.b?=v` only where the file says nothing; a number is a place in a list of tables: `config.files.0.mode=0600`.
    """
    try:
        parts, rest = parse_key(override)
    except ValueError:
        parts, rest = (), ""
    absent_only = rest.startswith("?=")
    rest = rest.removeprefix("?")
    if not parts or not rest.startswith("="):
        return Problem(
            None,
            "",
            "cannot read this",
            "a setting and its value, such as app.port=3000",
            source=source_of(override),
        )
    text = rest[1:].strip()
    value = _value(text)
    if isinstance(value, _Broken):
        message = f"cannot read the value: {value}"
        return Problem(
            None,
            dotted(parts),
            message,
            "a TOML value, or plain words",
            source=source_of(override),
        )
    if absent_only and _is_there(table, parts):
        return parts
    at = table
    known: Kind | None = ROOT
    path: Path = ()
    left = list(parts)
    while len(left) > 1:
        part = left.pop(0)
        known = _inside(known, part)
        if isinstance(known, Tablelist) and left[0].isdecimal() and len(left) > 1:
            index = left.pop(0)
            inner = _element(at, part, int(index))
            if inner is None:
                return Problem(
                    None,
                    dotted((*path, part, int(index))),
                    "cannot set one beyond the end of the list",
                    "the number of one that is there, from 0, or the next",
                    source=source_of(override),
                )
            path = (*path, part, int(index))
            at, known = inner, known.table
            continue
        path = (*path, part)
        below = at.setdefault(part, {})
        if not isinstance(below, dict):
            # `restart = "always"` in the file, and --set app.restart.limit=3 beside it: both hold.
            short = known.shorthand if isinstance(known, Table) else ""
            below = at[part] = {short: below} if short else {}
        at = below
    at[left[0]] = _fitting(_inside(known, left[0]), value, text)
    return (*path, left[0])


def _element(at: Raw, name: str, index: int) -> Raw | None:
    """The table at `index` of the list `name`, a new one right behind its end; None further on."""
    held = at.setdefault(name, [])
    entries: list[object] = held if isinstance(held, list) else []
    at[name] = entries
    if index == len(entries):
        entries.append({})
    if index >= len(entries):
        return None
    one = entries[index]
    if not isinstance(one, dict):
        one = entries[index] = {}
    return one


def _is_there(table: object, parts: tuple[str, ...]) -> bool:
    for part in parts:
        if not isinstance(table, dict) or part not in table:
            return False
        table = table[part]
    return True


def _inside(kind: Kind | None, name: str) -> Kind | None:
    if isinstance(kind, Table):
        return kind.member(name)
    if isinstance(kind, Tablemap):
        return kind.table
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
    if "\n" in text or is_words(text):
        return text
    if (plain := plain_value(text)) is not None:
        return plain
    import tomllib  # not at the top: few need it

    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("[", "{", '"', "'") and text:
            return _Broken(str(error).partition(" (at ")[0])
        return text
    except RecursionError:
        return _Broken("nested too deeply")
