"""What a directory's own files say about how its program is started: decided from their texts alone, for `pillion init`."""

from __future__ import annotations

import json
import shlex
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from pillion.settings.names import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.settings.problems import Path

LOOKED_FOR = ("Procfile", "package.json", "manage.py", "pyproject.toml", "Dockerfile")
"""The files that are asked, the one that speaks most directly of the production command first."""

_PROCFILE_PORT = 5000
_DJANGO_PORT = 8000
_NEEDS_SHELL = frozenset("$&|;<>()`*?~\n")


class Start(NamedTuple):
    """How a program is started, according to `source`; None and empty: the file does not say."""

    source: str
    name: str = ""
    command: tuple[str, ...] = ()
    port: int | None = None
    env: Mapping[str, str] = {}  # read only


def found_start(texts: Mapping[str, str], directory: str) -> Start:
    """What the files (name to text) in a directory called `directory` say together: for each answer the first file that has one."""
    starts = [_READERS[name](texts[name]) for name in LOOKED_FOR if name in texts]
    command = next((one for one in starts if one.command), Start(""))
    name = next((one.name for one in starts if _is_name(one.name)), "") or _as_name(directory)
    port = command.port or next((one.port for one in starts if one.port), None)
    return Start(command.source, name, command.command, port, command.env)


def choices(start: Start) -> dict[Path, object]:
    """The settings that a start asks for, by path, as a user would write them."""
    chosen: dict[Path, object] = {("app", "name"): start.name}
    if start.command:
        chosen["app", "command"] = list(start.command)
        chosen["app", "restart"] = "on-failure"
    if start.port is not None:
        chosen["app", "port"] = start.port
        chosen["app", "ready"] = {"tcp": f"127.0.0.1:{start.port}"}
    if start.env:
        chosen["app", "env"] = dict(start.env)
    return chosen


def _procfile(text: str) -> Start:
    processes: dict[str, str] = {}
    for line in text.splitlines():
        kind, colon, command = line.partition(":")
        if colon and command.strip() and not line.startswith("#"):
            processes.setdefault(kind.strip(), command.strip())
    if not processes:
        return Start("Procfile")
    kind = "web" if "web" in processes else next(iter(processes))
    source = f"Procfile, {kind}"
    if "PORT" not in processes[kind]:
        return Start(source, command=_words(processes[kind]))
    # Those who run a Procfile promise PORT.
    return Start(
        source,
        command=_words(processes[kind]),
        port=_PROCFILE_PORT,
        env={"PORT": str(_PROCFILE_PORT)},
    )


def _package_json(text: str) -> Start:
    try:
        package = json.loads(text)
    except (ValueError, RecursionError):
        return Start("package.json")
    if not isinstance(package, dict):
        return Start("package.json")
    name = package.get("name")
    name = name.rpartition("/")[2] if isinstance(name, str) else ""
    scripts = package.get("scripts")
    script = scripts.get("start") if isinstance(scripts, dict) else None
    main = package.get("main")
    if isinstance(script, str) and script.strip():
        words = _words(script)
        # npm in between would take the signals; it is needed only for its PATH.
        command = words if words[0] == "node" else ("npm", "run", "start")
        return Start("package.json, scripts.start", name, command)
    if isinstance(main, str) and main.strip():
        return Start("package.json, main", name, ("node", main.strip()))
    return Start("package.json", name)


def _manage_py(_: str) -> Start:
    address = f"127.0.0.1:{_DJANGO_PORT}"
    # The reloader would be a second process that the stop signal does not reach.
    command = ("python3", "manage.py", "runserver", "--noreload", address)
    return Start("manage.py", command=command, port=_DJANGO_PORT)


def _pyproject(text: str) -> Start:
    try:
        project = tomllib.loads(text).get("project")
    except tomllib.TOMLDecodeError:
        return Start("pyproject.toml")
    if not isinstance(project, dict):
        return Start("pyproject.toml")
    name = project.get("name")
    scripts = project.get("scripts")
    command = (next(iter(scripts)),) if isinstance(scripts, dict) and scripts else ()
    return Start("pyproject.toml, project.scripts", name if isinstance(name, str) else "", command)


def _dockerfile(text: str) -> Start:
    port = None
    parts: dict[str, tuple[str, ...]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        instruction, _, rest = line.strip().partition(" ")
        match instruction.upper():
            case "FROM":
                # A later stage starts from another image's command.
                parts, port = {}, None
            case "EXPOSE":
                number = rest.split()[0].partition("/")[0] if rest.split() else ""
                port = port or (
                    int(number)
                    if number.isascii() and number.isdigit() and 0 < int(number) < 65536
                    else None
                )
            case "ENTRYPOINT" | "CMD" as which:
                parts[which] = _docker_words(rest.strip())
    command = parts.get("ENTRYPOINT", ()) + parts.get("CMD", ())
    return Start("Dockerfile", command=command, port=port)


def _docker_words(text: str) -> tuple[str, ...]:
    """The exec form is JSON; the shell form is a command line."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            words = None
        if (
            isinstance(words, list)
            and all(isinstance(word, str) and "\0" not in word for word in words)
            and words
            and words[0]
        ):
            return tuple(words)
    return _words(text) if text else ()


def _words(command: str) -> tuple[str, ...]:
    """A command line as words; through a shell where it needs one, which is then replaced by the program."""
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        words = ()
    if words and "=" not in words[0] and not _NEEDS_SHELL & set(command):
        return words
    plain = not set(command) & frozenset("&|;\n") and (not words or "=" not in words[0])
    return ("sh", "-c", f"exec {command}" if plain else command)


def _is_name(text: str) -> bool:
    if not text:
        return False
    try:
        check_name(text)
    except ValueError:
        return False
    return True


def _as_name(text: str) -> str:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text).strip(
        "._-"
    )[:64]
    return name or "app"


_READERS = {
    "Procfile": _procfile,
    "package.json": _package_json,
    "manage.py": _manage_py,
    "pyproject.toml": _pyproject,
    "Dockerfile": _dockerfile,
}
