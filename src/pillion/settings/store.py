"""What a user can say about the store: where configuration is kept, and for how long."""

from pillion.settings.kinds import Choice, Text, Whole
from pillion.settings.quantities import Duration, Size
from pillion.settings.record import Record, setting
from pillion.settings.shapes import Table

SQLITE = "sqlite"
LATER_ENGINES = ("etcd", "nats")
"""Designed, but not in this version."""

_SQLITE_FILE = "sqlite:/"


def _check_url(text: str) -> None:
    if text == SQLITE or (text.startswith(_SQLITE_FILE) and len(text) > len(_SQLITE_FILE)):
        return
    if text.partition("://")[0] in LATER_ENGINES:
        raise ValueError("this engine is not in this version of Pillion")
    if text.startswith(SQLITE + ":"):
        raise ValueError("a file needs an absolute path")
    raise ValueError("no such engine")


class History(Record):
    """How much of what was written before is kept."""

    revisions: int = setting(
        Whole(1, 10_000_000),
        "Writes, over all keys, that history and watches can go back to; the present values are kept in any case.",
        default=10_000,
        restart="agent",
        also=("count", "keep", "limit"),
    )
    age_s: float = setting(
        Duration(1),
        "Older writes are dropped from the history.",
        default=30 * 86400.0,
        restart="agent",
        also=("max_age", "retention"),
    )


class Store(Record):
    """Where configuration, manual registrations and locks are kept."""

    url: str = setting(
        Text(
            '"sqlite", or "sqlite:/path/to/file"',
            check=_check_url,
            pattern=r"^sqlite(:/.+)?$",
        ),
        'The engine: "sqlite" is a file that all instances of this user on this host share, and "sqlite:/path" one of your own '
        "choice. Network file systems are refused.",
        default=SQLITE,
        restart="agent",
        also=("engine", "path", "file", "backend", "address"),
    )
    size_bytes: int = setting(
        Size(1 << 20, 1 << 40),
        "What the store may hold on disk, its history included; a write beyond it is refused.",
        default=32 << 20,
        restart="agent",
        also=("quota", "max_size"),
    )
    history: History = setting(
        Table(History()), "How much of what was written before is kept.", default=History()
    )
    sync: str = setting(
        Choice(("full", "normal")),
        '"full": a write is on the disk before it is answered, and survives a loss of power; "normal": it survives the death of '
        "every process, but a loss of power may cost the last of them.",
        default="full",
        restart="agent",
        also=("synchronous", "fsync", "durability"),
    )
