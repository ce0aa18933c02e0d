"""From TOML text to Settings: syntax, overrides, every value, then what values say together; all problems at once."""

from __future__ import annotations

import os

from pillion.settings.checks import contradictions
from pillion.settings.overrides import Raw, apply_override, source_of
from pillion.settings.positions import locate
from pillion.settings.problems import Finding, Path, Place, Problem, SettingsError, dotted
from pillion.settings.shapes import Table
from pillion.settings.syntax import read_toml
from pillion.settings.tables import Tablemap
from pillion.settings.tree import ROOT, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FILE_BYTES = 1 << 20
"""A settings file is written by hand; a larger one is something else."""


def load(path: str | None, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a file, with `--set` overrides; the defaults with overrides when `path` is None.

    Raises SettingsError with every problem, also when the file cannot be read.
    """
    if path is None:
        return parse("", overrides)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        problem = Problem(
            None,
            "",
            f"cannot read the file: {reason}; name another with --settings, or write one with pillion init",
            source=path,
        )
        raise SettingsError([problem]) from error
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError([Problem(None, "", "cannot use a file of more than 1M", source=path)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            [Problem(line, "", "cannot decode this line; save the file as UTF-8", source=path)]
        ) from error
    return parse(text, overrides, source=path)


def parse(text: str, overrides: Sequence[str] = (), source: str = "pillion.toml") -> Settings:
    """The settings that a TOML text and overrides say. Raises SettingsError with every problem."""
    document = read_toml(text, source)
    problems = list(document.problems)
    origins: dict[Path, str] = {}
    for override in overrides:
        applied = apply_override(document.table, override)
        if isinstance(applied, Problem):
            problems.append(applied)
        else:
            origins[applied] = override
    settings, findings = validate(document.table)
    # With lines left out, what the rest says together proves nothing.
    if not findings and not problems:
        findings = contradictions(settings)
    if findings:
        lines = locate(document.text)
        problems += (_placed(finding, lines, origins, source) for finding in findings)
    if problems:
        raise SettingsError(sorted(problems, key=lambda one: (one.line is None, one.line or 0)))
    return settings


def validate(table: Raw) -> tuple[Settings, list[Finding]]:
    """The settings that a TOML table says, and what is wrong with it: they are of use only when nothing is."""
    place = Place()
    settings = ROOT.read(dict(table), place, Settings())
    assert isinstance(settings, Settings)
    return settings, [_elsewhere(finding) for finding in place.findings]


def setting_names() -> list[str]:
    """The dotted name of every setting that holds a value, the shallow ones first."""
    paths = _all_paths(ROOT, ())
    tables = {path[:-1] for path in paths}
    return [dotted(path) for path in paths if path not in tables]


def _elsewhere(finding: Finding) -> Finding:
    """For an unknown name that is near to none beside it: the setting of that name in another section."""
    if finding.message != "unknown setting" or finding.suggestion is not None:
        return finding
    name, section = finding.path[-1], finding.path[0]
    for path in sorted(
        _all_paths(ROOT, (), entries=True), key=lambda path: (path[0] != section, len(path))
    ):
        if path[-1] == name and path[:-1] != finding.path[:-1]:
            return finding._replace(suggestion=dotted(path))
    return finding


def _all_paths(table: Table, prefix: Path, *, entries: bool = False) -> list[Path]:
    """Every setting's path, the shallow ones first; with `entries` those in tables under names of the user's as well, as `NAME`."""
    found: list[Path] = [(*prefix, member.name) for member in table.base.members]
    for member in table.base.members:
        kind = member.spec.kind
        if isinstance(kind, Table):
            found += _all_paths(kind, (*prefix, member.name), entries=entries)
        elif entries and isinstance(kind, Tablemap):
            found += _all_paths(kind.table, (*prefix, member.name, "NAME"), entries=True)
    return sorted(found, key=len)


def _placed(
    finding: Finding, lines: Mapping[Path, int], origins: Mapping[Path, str], source: str
) -> Problem:
    line = None
    for length in range(len(finding.path), 0, -1):
        prefix = finding.path[:length]
        if override := origins.get(prefix):
            source = source_of(override)
            break
        if (line := lines.get(prefix)) is not None:
            break
    return Problem(
        line, dotted(finding.path), finding.message, finding.expected, finding.suggestion, source
    )
