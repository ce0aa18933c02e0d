"""docs/settings.md from the settings' own descriptions: `python -m pillion.settings.reference > docs/settings.md`."""

import sys

from pillion.settings.problems import Path, dotted
from pillion.settings.record import INSTANCE, LIVE, Member
from pillion.settings.tables import Tablelist, inner_table
from pillion.settings.tree import ROOT
from pillion.settings.writing import toml

_INTRODUCTION = """\
# Settings

<!-- Written by `python -m pillion.settings.reference`; the texts are in src/pillion/settings/. -->

One TOML file, and it is optional: `pillion run -- COMMAND` works with none.

    pillion init                    write a commented pillion.toml from what is found in this directory
    pillion check pillion.toml      every problem, with its line and the nearest right name
    pillion schema                  the JSON Schema, for editors
    pillion run --settings pillion.toml --set app.stop_timeout=30s

`--set` puts one value over the file's; it is read as TOML where it can be (`3000`, `true`, `["a", "b"]`), else as plain words. `a.b?=v`
sets it only where the file says nothing. `NAME` below is a name of your own, as in `--set health.checks.db.tcp=127.0.0.1:5432`; a number is a
place in a list of tables, as in `--set config.files.0.mode=0600`.

| written | means |
| --- | --- |
| `"500ms"` `"10s"` `"1m30s"` `"24h"` `"7d"` | a duration: numbers with `d`, `h`, `m`, `s`, `ms`, from the largest down |
| `"64K"` `"512M"` `"1.5G"` `"512MiB"` | a size in bytes, in powers of 1024; `"512MB"` is refused, because readers differ about it |
| `"20%"` | a share |
| `"200/s"` `"1000/m"` `"60/h"` | a rate: so many in a second, minute, hour or day |
| `"none"`, `"off"` | no limit, no listener |

A file with a problem is refused as a whole, with all its problems; a reload with one changes nothing. Below, each setting stands with its
default, and with what a change of it takes: some are applied while everything runs, others need the restart of one component, and
"a new `pillion run`" means just that.
"""


def reference() -> str:
    """The whole page, as Markdown."""
    parts = [_INTRODUCTION]
    for section in ROOT.base.members:
        parts += _section(section, (section.name,))
    return "\n".join(parts)


def _section(section: Member, path: Path) -> list[str]:
    kind = section.spec.kind
    table = inner_table(kind)
    assert table is not None
    depth = len(path)
    if kind.names_entries:
        path = (*path, "NAME")
    header = f"[[{dotted(path)}]]" if isinstance(kind, Tablelist) else f"[{dotted(path)}]"
    lines = ["#" * min(depth + 1, 4) + f" `{header}`", "", section.spec.doc]
    if table.shorthand:
        lines[-1] += f" `{path[-1]} = …` alone sets its `{table.shorthand}`."
    lines.append("")
    entries = [
        _entry(member, getattr(table.base, member.attribute))
        for member in table.base.members
        if inner_table(member.spec.kind) is None
    ]
    if entries:
        lines += [*entries, ""]
    for member in table.base.members:
        if inner_table(member.spec.kind) is not None:
            lines += _section(member, (*path, member.name))
    return lines


def _entry(member: Member, held: object) -> str:
    spec = member.spec
    if spec.required:
        default = "required"
    elif held is None or held in ((), "") or held == {}:
        default = "not set"
    else:
        default = f"default `{toml(spec.kind.written(held))}`"
    example = (
        f"; for example `{toml(spec.example)}`" if spec.example is not None and not held else ""
    )
    return f"- **`{member.name}`**: {spec.doc}<br>{spec.kind.expected}; {default}{example}; {_change(spec.restart)}."


def _change(restart: str) -> str:
    if restart == LIVE:
        return "a change is applied live"
    if restart == INSTANCE:
        return "a change needs a new `pillion run`"
    return f"a change restarts the {restart}"


if __name__ == "__main__":
    sys.stdout.write(reference())
