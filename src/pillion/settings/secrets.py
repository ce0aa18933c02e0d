"""What a user can say about secrets: where each is kept, by reference and never by value, and who may read it."""

from pillion.settings.kinds import Choice, Text
from pillion.settings.names import NAME_PATTERN, VARIABLE_PATTERN, check_name, check_variable
from pillion.settings.record import Record, setting
from pillion.settings.tables import Tablemap

SECRET_SOURCES = ("file", "env", "credential", "directory")
"""Where a secret can be: exactly one of them for each."""


def _check_credential(text: str) -> None:
    if "/" in text or text in (".", "..") or len(text) > 255:
        raise ValueError("the name of a file in the directory of credentials, without /")


class Secret(Record):
    """A secret by reference. Exactly one of file, env, credential and directory says where it is."""

    file: str | None = setting(
        Text("a file's path", optional=True),
        "A file with the value, read when it is asked for.",
        default=None,
        example="/run/secrets/db-password",
        also=("path",),
    )
    env: str | None = setting(
        Text(
            "the name of a variable",
            check=check_variable,
            pattern=VARIABLE_PATTERN,
            optional=True,
        ),
        "A variable of the environment in which `pillion run` was started.",
        default=None,
        example="DB_PASSWORD",
        also=("variable", "environment", "from_env"),
    )
    credential: str | None = setting(
        Text("the name of a credential", check=_check_credential, pattern="^[^/]+$", optional=True),
        "A credential of systemd, by its name (`LoadCredential=`).",
        default=None,
        example="db-password",
        also=("systemd", "credentials"),
    )
    directory: str | None = setting(
        Text("a directory", optional=True),
        "A directory such as Kubernetes mounts: each file in it is the secret `NAME/FILE`.",
        default=None,
        example="/var/run/secrets/shop",
        also=("dir", "mount", "folder"),
    )
    access: str = setting(
        Choice(("app", "operator")),
        'Who may read it over the local API: the "app" and the operator, or the "operator" alone.',
        default="app",
        also=("role", "allow"),
    )


def secrets_kind() -> Tablemap:
    """The kind of the section: secrets by their names."""
    return Tablemap(Secret(), sample="db-password", check=check_name, key_pattern=NAME_PATTERN)
