"""What a user can say about configuration: which environment's values hold, and into which files and variables they go."""

# ruff: noqa: D102 # the base class says what each method promises

from __future__ import annotations

from pillion.settings.kinds import Choice, Kind, Schema, Text
from pillion.settings.names import (
    KEY_PATTERN,
    PREFIX_PATTERN,
    VARIABLE_PATTERN,
    check_key,
    check_prefix,
    check_variable,
    name_text,
)
from pillion.settings.record import NOTHING, Record, setting
from pillion.settings.shapes import Command, Strmap
from pillion.settings.tables import Tablelist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FORMATS = ("json", "toml", "yaml", "env", "text")
_ENDINGS = {
    ".json": "json",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".env": "env",
    ".txt": "text",
}
_SIGNALS = ("HUP", "USR1", "USR2", "TERM", "INT", "QUIT", "WINCH")
_MOST_FILES = 100
_MOST_MODE = 0o777
_USUAL_MODES = frozenset(
    ["400", "440", "444", "600", "640", "644", "660", "664", "666", "700", "750", "755"]
)


def format_by_ending(path: str) -> str:
    """The format that the ending of `path` names; empty when it names none."""
    return next((known for ending, known in _ENDINGS.items() if path.endswith(ending)), "")


class FileMode(Kind):
    """Permission bits of a file, written in octal: `"0640"`."""

    def __init__(self) -> None:
        super().__init__('permissions in octal such as "0640"', optional=True)

    def parse(self, value: object) -> int:
        if isinstance(value, str) and 3 <= len(value) <= 4 and set(value) <= set("01234567"):
            mode = int(value, 8)
            if mode <= _MOST_MODE:
                return mode
        raise self.unfit(value, suggestion=self._near(value))

    def _near(self, value: object) -> str | None:
        # 640 was meant in octal by whoever wrote it, and 0o640 arrives here as 416: the reading that is in use is the right one.
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        ways = (str(value), f"{value:o}")
        return next((f'"0{text}"' for text in ways if text in _USUAL_MODES), None)

    def written(self, value: object) -> object:
        return f"{value:04o}" if isinstance(value, int) else super().written(value)

    def plain_schema(self) -> Schema:
        return {"type": "string", "pattern": "^0?[0-7]{3}$"}

    def decode(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_MODE:
            raise self.unfit(value)
        return value


class ConfigFile(Record):
    """A file that holds values of the configuration, and what is done when it has changed."""

    path: str = setting(
        Text("a file's path"),
        "The file; a relative path begins where `pillion run` was started. It is replaced by rename, and only when its content differs.",
        default="",
        example="/run/shop/prices.json",
        required=True,
        also=("file", "name", "target", "to"),
    )
    key: str = setting(
        Text("a key such as shop/prices", check=check_key, pattern=KEY_PATTERN),
        "The key whose value is the file's content. Either this or `prefix`.",
        default="",
        example="shop/prices",
    )
    prefix: str = setting(
        Text("the beginning of keys such as shop/", check=check_prefix, pattern=PREFIX_PATTERN),
        "All keys below this, as a tree. Either this or `key`.",
        default="",
        example="shop/",
        also=("tree", "keys"),
    )
    format: str = setting(
        Choice(FORMATS, {"yml": "yaml", "dotenv": "env", "plain": "text"}),
        'How it is written; without it, the path\'s ending says so. "env" is lines `NAME=value` that a shell can read; "text" the '
        "value of one key as it is.",
        default="",
        example="json",
        also=("type", "syntax"),
    )
    mode: int | None = setting(
        FileMode(),
        "The file's permissions; without them, only its owner may read it, which is the app's user.",
        default=None,
        example="0640",
        also=("permissions", "chmod"),
    )
    signal: str | None = setting(
        Choice(_SIGNALS, {f"SIG{name}": name for name in _SIGNALS}, optional=True),
        "The signal that the app gets when the file has changed, once it is ready.",
        default=None,
        example="HUP",
        also=("reload_signal", "notify"),
    )
    command: tuple[str, ...] = setting(
        Command(),
        "What is run when the file has changed while the app runs, for 30 seconds at most. Either this or `signal`.",
        default=(),
        example=["nginx", "-s", "reload"],
        also=("cmd", "exec", "run", "reload"),
    )


class Config(Record):
    """The configuration that the app reads over the local API, and where else it is put."""

    environment: str = setting(
        name_text('a name such as "production"'),
        "Whose values hold between the defaults and the service's own; without it, none.",
        default="",
        restart="agent",
        example="production",
        also=("env_name", "stage", "profile"),
    )
    files: tuple[ConfigFile, ...] = setting(
        Tablelist(ConfigFile(), most=_MOST_FILES),
        "Files that hold values of the configuration, for programs that read files.",
        default=(),
        also=("file", "templates", "projections"),
    )
    env: Mapping[str, str] = setting(
        Strmap(
            'a table such as { PRICES_URL = "shop/prices-url" }',
            Text("a key such as shop/prices-url", check=check_key, pattern=KEY_PATTERN),
            key_pattern=VARIABLE_PATTERN,
            check=check_variable,
        ),
        "Environment variables of the app, each with the key whose value it gets when the app is started. Held back until the "
        "sidecar is ready, for as long as `agent.wait`.",
        default=NOTHING,
        restart="app",
        example={"PRICES_URL": "shop/prices-url"},
        also=("variables", "vars"),
    )
