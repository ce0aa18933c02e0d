"""Values as the text of a file: JSON, TOML, YAML, lines for a shell, or plain. What is written reads back as the same values.

The libraries for TOML and YAML are imported when the first file of that format is written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pillion.config.projection_tree import ProjectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")
# What no shell gives a meaning to, and no reader of such files either.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")
# Line ends to YAML 1.1, folded into spaces unless they are escaped.
_ESCAPED = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff]")
# Plain in YAML 1.1, which PyYAML writes, but a number or a flag to readers of YAML 1.2 or of the letter of 1.1.
_AMBIGUOUS = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?\Z|0o?[0-7]+\Z|[yYnN]\Z")


def rendered(value: object, form: str) -> bytes:
    """`value` (JSON types) as the content of a file of the format `form`, one of `settings.config.FORMATS`.

    Raises `ProjectionError` when the format cannot hold it.
    """
    return _RENDERERS[form](value).encode(errors="surrogatepass")


def text_of(value: object) -> str:
    """A string as it is, any other value as JSON in one line."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _toml(value: object) -> str:
    import tomli_w

    if not isinstance(value, dict):
        raise ProjectionError(
            "cannot write a value that is no table as TOML; use a table, or another format"
        )
    if (where := _null_in(value, "")) is not None:
        raise ProjectionError(
            f"cannot write {where or 'this'} as TOML: it is null, which TOML does not have; use json or yaml"
        )
    return tomli_w.dumps(value)


def _null_in(value: object, path: str) -> str | None:
    """The path of the first null; None when there is none."""
    if value is None:
        return path
    inner: Iterator[tuple[object, object]] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = iter(enumerate(value))
    for name, one in inner:
        if (found := _null_in(one, f"{path}/{name}" if path else f"{name}")) is not None:
            return found
    return None


def _yaml(value: object) -> str:
    return _yaml_writer()(value)


def _yaml_writer() -> Callable[[object], str]:
    import yaml

    class Dumper(yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper):  # type: ignore[misc] # one or the other, with the same methods
        """Quotes what some readers would not take for text, and repeats instead of referring."""

        def ignore_aliases(self, data: object) -> bool:
            del data
            return True

    def text(dumper: Dumper, data: str) -> yaml.Node:
        style = '"' if _AMBIGUOUS.match(data) or _ESCAPED.search(data) else None
        node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)
        return node

    Dumper.add_representer(str, text)

    def write(value: object) -> str:
        written: str = yaml.dump(
            value, Dumper=Dumper, allow_unicode=True, sort_keys=False, default_flow_style=False
        )
        return written

    return write


def _env(value: object) -> str:
    if not isinstance(value, dict):
        raise ProjectionError(
            "cannot write a value that is no table as variables; use a table, or another format"
        )
    lines: dict[str, str] = {}
    for name, text in _variables(value, ""):
        if name in lines:
            raise ProjectionError(
                f"cannot write {name} twice: two names become this variable; rename one of them"
            )
        if "\0" in text:
            raise ProjectionError(
                f"cannot write {name}: it has a NUL character, which no variable can hold"
            )
        lines[name] = f"{name}={_quoted(text)}\n"
    return "".join(lines.values())


def _variables(tree: Mapping[str, object], start: str) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        name = start + _NOT_IN_NAMES.sub("_", key).upper()
        if isinstance(value, dict):
            yield from _variables(value, f"{name}_")
        else:
            yield (f"_{name}" if name[:1].isdigit() else name or "_"), text_of(value)


def _quoted(text: str) -> str:
    """A word of the POSIX shell, section 2.2.2: between single quotes nothing has a meaning but the quote itself."""
    if _PLAIN.match(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


_RENDERERS: dict[str, Callable[[object], str]] = {
    "json": _json,
    "toml": _toml,
    "yaml": _yaml,
    "env": _env,
    "text": text_of,
}
