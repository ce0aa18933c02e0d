"""TOML text from values and from the settings' own descriptions: what `pillion init` writes, so that the file a user starts with
documents every setting there is.
"""

import textwrap
from collections.abc import Mapping

from pillion.settings.problems import Path, dotted
from pillion.settings.record import Member
from pillion.settings.shapes import Table
from pillion.settings.tables import Tablelist, Tablemap, inner_table
from pillion.settings.tree import ROOT

_WIDTH = 100


def toml(value: object) -> str:
    """A value on one line, as TOML. Strings, numbers, flags, lists and tables with string keys."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    assert isinstance(value, Mapping), value
    inner = ", ".join(f"{dotted((str(key),))} = {toml(one)}" for key, one in value.items())
    return f"{{ {inner} }}" if inner else "{}"


def commented(chosen: Mapping[Path, object], heading: str = "") -> str:
    """A pillion.toml with every setting: those of `chosen` (path to value, as a user writes them) in force, the others as comments.

    A path that names a setting of a table may be deeper: ("app", "ready", "http"). The text ends with a newline.
    """
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    for member in ROOT.base.members:
        lines += _section(member, (member.name,), chosen, top=True)
    return "\n".join(lines) + "\n"


def _section(section: Member, path: Path, chosen: Mapping[Path, object], *, top: bool) -> list[str]:
    kind = section.spec.kind
    table = inner_table(kind)
    assert table is not None
    if isinstance(kind, Tablemap):
        path = (*path, kind.sample)
    # Of what the user names or lists there is an example, and it is no default.
    in_force = isinstance(kind, Table) and (
        (top and not kind.optional)
        or any(one[: len(path)] == path and len(one) > len(path) for one in chosen)
    )
    mark = "" if in_force else "# "
    header = f"[[{dotted(path)}]]" if isinstance(kind, Tablelist) else f"[{dotted(path)}]"
    lines = ["", *_comment(section.spec.doc), mark + header]
    for member in table.base.members:
        here = (*path, member.name)
        if inner_table(member.spec.kind) is None:
            lines += [
                "",
                *_comment(member.spec.doc),
                _line(member, getattr(table.base, member.attribute), chosen.get(here)),
            ]
        elif here in chosen:
            lines += [
                "",
                *_comment(member.spec.doc),
                f"{dotted((member.name,))} = {toml(chosen[here])}",
            ]
    for member in table.base.members:
        if inner_table(member.spec.kind) is not None and (*path, member.name) not in chosen:
            lines += _section(member, (*path, member.name), chosen, top=False)
    return lines


def _line(member: Member, default: object, value: object) -> str:
    if value is not None:
        return f"{member.name} = {toml(value)}"
    return f"# {member.name} = {toml(_shown(member, default))}"


def _shown(member: Member, default: object) -> object:
    """The default as a user would write it; an example where the default is not to be written, or says nothing."""
    spec = member.spec
    if default is None and spec.example is None:
        return spec.kind.written(None)
    if default is None or spec.required or (spec.example is not None and not default):
        return spec.example
    return spec.kind.written(default)


def _comment(text: str) -> list[str]:
    return [
        f"# {line}"
        for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    ]


def _string(text: str) -> str:
    escaped = ""
    for one in text:
        if one in '"\\':
            escaped += "\\" + one
        elif one == "\n":
            escaped += "\\n"
        elif one == "\t":
            escaped += "\\t"
        elif ord(one) < 32 or ord(one) == 127:
            escaped += f"\\u{ord(one):04x}"
        else:
            escaped += one
    return f'"{escaped}"'
