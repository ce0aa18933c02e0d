"""What a user can say about the app's output: how it is kept, cut into records, mirrored and written to a file."""

from dataclasses import dataclass, field

from pillion.settings.kinds import Choice, Flag, Text, Whole
from pillion.settings.quantities import Duration, Size
from pillion.settings.references import Pattern
from pillion.settings.shapes import INSTANCE, Strings, Table, setting

FULL_POLICIES = ("drop_oldest", "drop_newest", "block")


class _Inherited(Choice):
    """A policy that may be left to the spool's."""

    def __init__(self) -> None:
        super().__init__(FULL_POLICIES)
        self.optional = True


class _InheritedFlag(Flag):
    """A flag that may be left to the section's."""

    def __init__(self) -> None:
        super().__init__()
        self.optional = True


@dataclass(frozen=True)
class Spool:
    """The app's output on disk, between the app and whoever reads it."""

    size_bytes: int = field(
        default=256 << 20,
        metadata=setting(
            Size(1 << 20),
            "What the spool may hold on disk, over all streams and runs.",
            restart=INSTANCE,
            also=("max_size", "quota"),
        ),
    )
    age_s: float = field(
        default=86400.0,
        metadata=setting(
            Duration(1),
            "Older output is dropped, and shipping it no longer tried.",
            restart=INSTANCE,
            also=("max_age", "retention"),
        ),
    )
    full: str = field(
        default="drop_oldest",
        metadata=setting(
            Choice(FULL_POLICIES, {"drop-oldest": "drop_oldest", "drop-newest": "drop_newest"}),
            'When ring or quota are full: "drop_oldest", "drop_newest", or "block" the app. What is dropped is counted and reported.',
            restart=INSTANCE,
        ),
    )
    ring_bytes: int = field(
        default=16 << 20,
        metadata=setting(
            Size(1 << 16, 1 << 32),
            "Memory of each stream that bridges a slow or hanging disk.",
            restart=INSTANCE,
        ),
    )


@dataclass(frozen=True)
class Stream:
    """What differs for one stream."""

    full: str | None = field(
        default=None,
        metadata=setting(
            _Inherited(),
            "As `logs.spool.full`, for this stream alone.",
            restart=INSTANCE,
            example="block",
        ),
    )
    pty: bool = field(
        default=False,
        metadata=setting(
            Flag(),
            "Give the app a terminal for this stream, for programs that buffer or drop colours without one.",
            restart="app",
        ),
    )
    mirror: bool | None = field(
        default=None,
        metadata=setting(
            _InheritedFlag(),
            "As `logs.mirror`, for this stream alone.",
            restart=INSTANCE,
            example=False,
        ),
    )


@dataclass(frozen=True)
class Multiline:
    """Lines that belong together become one record."""

    pattern: str = field(
        default="",
        metadata=setting(
            Pattern(),
            "A regular expression, searched in each line.",
            restart="shipper",
            example="^\\s|^Caused by:",
            required=True,
            also=("regex", "regexp"),
        ),
    )
    match: str = field(
        default="start",
        metadata=setting(
            Choice(("start", "continue")),
            'What a line that matches does: "start" a record, and the others continue it; or "continue" the one before, and the others start one.',
            restart="shipper",
            also=("negate", "what"),
        ),
    )
    timeout_s: float = field(
        default=1.0,
        metadata=setting(
            Duration(0.01, 60),
            "A record without a further line for this long is complete.",
            restart="shipper",
        ),
    )
    lines: int = field(
        default=500,
        metadata=setting(
            Whole(2, 100000),
            "A record of this many lines is complete.",
            restart="shipper",
            also=("max_lines",),
        ),
    )


@dataclass(frozen=True)
class Parse:
    """What is recognised in a record."""

    json: bool = field(
        default=True,
        metadata=setting(Flag(), "Take lines that are JSON objects apart.", restart="shipper"),
    )
    level: bool = field(
        default=True,
        metadata=setting(
            Flag(),
            "Recognise the level in the common forms: `ERROR`, `[warn]`, `level=info`.",
            restart="shipper",
        ),
    )
    time: bool = field(
        default=True,
        metadata=setting(
            Flag(),
            "Recognise the time in the common forms; without it, that of arrival holds.",
            restart="shipper",
        ),
    )


@dataclass(frozen=True)
class LogFile:
    """A file to which the records are written, rotated by size."""

    path: str = field(
        default="",
        metadata=setting(
            Text("a file's path"),
            "The file.",
            restart="shipper",
            example="/var/log/shop.log",
            required=True,
        ),
    )
    size_bytes: int = field(
        default=64 << 20,
        metadata=setting(
            Size(1 << 12),
            "At this size the file is renamed, and a new one begun.",
            restart="shipper",
            also=("max_size",),
        ),
    )
    keep: int = field(
        default=5,
        metadata=setting(
            Whole(0, 1000),
            "How many older files are kept.",
            restart="shipper",
            also=("backups", "count"),
        ),
    )


@dataclass(frozen=True)
class Logs:
    """The app's output."""

    spool: Spool = field(
        default=Spool(),
        metadata=setting(Table(Spool()), "The app's output on disk.", restart=INSTANCE),
    )
    mirror: bool = field(
        default=True,
        metadata=setting(
            Flag(),
            "Show the app's output on the stdout and stderr of `pillion run` as well.",
            restart=INSTANCE,
        ),
    )
    stdout: Stream = field(
        default=Stream(),
        metadata=setting(Table(Stream()), "What differs for stdout.", restart=INSTANCE),
    )
    stderr: Stream = field(
        default=Stream(),
        metadata=setting(Table(Stream()), "What differs for stderr.", restart=INSTANCE),
    )
    files: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            Strings(
                'a list of paths and patterns such as ["/var/log/shop/*.log"]',
                Text("a path or pattern"),
            ),
            "Log files to follow as well; patterns with * and ?. Rotation by rename and truncation are recognised.",
            restart="shipper",
            example=["/var/log/shop/*.log"],
        ),
    )
    line_cap_bytes: int = field(
        default=256 << 10,
        metadata=setting(
            Size(1 << 10, 16 << 20),
            "A longer line is cut here, and marked.",
            restart="shipper",
            also=("max_line", "line_limit"),
        ),
    )
    parse: Parse = field(
        default=Parse(),
        metadata=setting(Table(Parse()), "What is recognised in a record.", restart="shipper"),
    )
    multiline: Multiline | None = field(
        default=None,
        metadata=setting(
            Table(Multiline(), optional=True),
            "Lines that belong together become one record; without it, each is one.",
            restart="shipper",
        ),
    )
    file: LogFile | None = field(
        default=None,
        metadata=setting(
            Table(LogFile(), optional=True),
            "A rotating file to which the records are written as well.",
            restart="shipper",
        ),
    )

    def full_for(self, stream: str) -> str:
        """The policy in force for "stdout" or "stderr" when ring or quota are full."""
        own = self.stream(stream).full
        return self.spool.full if own is None else own

    def mirror_for(self, stream: str) -> bool:
        """Whether "stdout" or "stderr" is mirrored."""
        own = self.stream(stream).mirror
        return self.mirror if own is None else own

    def stream(self, stream: str) -> Stream:
        """The settings of "stdout" or "stderr"."""
        assert stream in ("stdout", "stderr"), stream
        return self.stdout if stream == "stdout" else self.stderr
