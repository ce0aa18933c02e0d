"""What a user can say about the app's output: how it is kept, cut into records, mirrored and written to a file."""

from pillion.settings.kinds import Choice, Flag, Text, Whole
from pillion.settings.quantities import Duration, Size
from pillion.settings.record import INSTANCE, Record, setting
from pillion.settings.references import Pattern
from pillion.settings.shapes import Strings, Table

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


class Spool(Record):
    """The app's output on disk, between the app and whoever reads it."""

    size_bytes: int = setting(
        Size(1 << 20),
        "What the spool may hold on disk, over all streams and runs.",
        default=256 << 20,
        restart=INSTANCE,
        also=("max_size", "quota"),
    )
    age_s: float = setting(
        Duration(1),
        "Older output is dropped, and shipping it no longer tried.",
        default=86400.0,
        restart=INSTANCE,
        also=("max_age", "retention"),
    )
    full: str = setting(
        Choice(FULL_POLICIES, {"drop-oldest": "drop_oldest", "drop-newest": "drop_newest"}),
        'When ring or quota are full: "drop_oldest", "drop_newest", or "block" the app. What is dropped is counted and reported.',
        default="drop_oldest",
        restart=INSTANCE,
    )
    ring_bytes: int = setting(
        Size(1 << 16, 1 << 32),
        "Memory of each stream that bridges a slow or hanging disk.",
        default=16 << 20,
        restart=INSTANCE,
    )


class Stream(Record):
    """What differs for one stream."""

    full: str | None = setting(
        _Inherited(),
        "As `logs.spool.full`, for this stream alone.",
        default=None,
        restart=INSTANCE,
        example="block",
    )
    pty: bool = setting(
        Flag(),
        "Give the app a terminal for this stream, for programs that buffer or drop colours without one.",
        default=False,
        restart="app",
    )
    mirror: bool | None = setting(
        _InheritedFlag(),
        "As `logs.mirror`, for this stream alone.",
        default=None,
        restart=INSTANCE,
        example=False,
    )


class Multiline(Record):
    """Lines that belong together become one record."""

    pattern: str = setting(
        Pattern(),
        "A regular expression, searched in each line.",
        default="",
        restart="shipper",
        example="^\\s|^Caused by:",
        required=True,
        also=("regex", "regexp"),
    )
    match: str = setting(
        Choice(("start", "continue")),
        'What a line that matches does: "start" a record, and the others continue it; or "continue" the one before, and the others start one.',
        default="start",
        restart="shipper",
        also=("negate", "what"),
    )
    timeout_s: float = setting(
        Duration(0.01, 60),
        "A record without a further line for this long is complete.",
        default=1.0,
        restart="shipper",
    )
    lines: int = setting(
        Whole(2, 100000),
        "A record of this many lines is complete.",
        default=500,
        restart="shipper",
        also=("max_lines",),
    )


class Parse(Record):
    """What is recognised in a record."""

    json: bool = setting(
        Flag(), "Take lines that are JSON objects apart.", default=True, restart="shipper"
    )
    level: bool = setting(
        Flag(),
        "Recognise the level in the common forms: `ERROR`, `[warn]`, `level=info`.",
        default=True,
        restart="shipper",
    )
    time: bool = setting(
        Flag(),
        "Recognise the time in the common forms; without it, that of arrival holds.",
        default=True,
        restart="shipper",
    )


class LogFile(Record):
    """A file to which the records are written, rotated by size."""

    path: str = setting(
        Text("a file's path"),
        "The file.",
        default="",
        restart="shipper",
        example="/var/log/shop.log",
        required=True,
    )
    size_bytes: int = setting(
        Size(1 << 12),
        "At this size the file is renamed, and a new one begun.",
        default=64 << 20,
        restart="shipper",
        also=("max_size",),
    )
    keep: int = setting(
        Whole(0, 1000),
        "How many older files are kept.",
        default=5,
        restart="shipper",
        also=("backups", "count"),
    )


class Logs(Record):
    """The app's output."""

    spool: Spool = setting(
        Table(Spool()), "The app's output on disk.", default=Spool(), restart=INSTANCE
    )
    mirror: bool = setting(
        Flag(),
        "Show the app's output on the stdout and stderr of `pillion run` as well.",
        default=True,
        restart=INSTANCE,
    )
    stdout: Stream = setting(
        Table(Stream()), "What differs for stdout.", default=Stream(), restart=INSTANCE
    )
    stderr: Stream = setting(
        Table(Stream()), "What differs for stderr.", default=Stream(), restart=INSTANCE
    )
    files: tuple[str, ...] = setting(
        Strings(
            'a list of paths and patterns such as ["/var/log/shop/*.log"]',
            Text("a path or pattern"),
        ),
        "Log files to follow as well; patterns with * and ?. Rotation by rename and truncation are recognised.",
        default=(),
        restart="shipper",
        example=["/var/log/shop/*.log"],
    )
    line_cap_bytes: int = setting(
        Size(1 << 10, 16 << 20),
        "A longer line is cut here, and marked.",
        default=256 << 10,
        restart="shipper",
        also=("max_line", "line_limit"),
    )
    parse: Parse = setting(
        Table(Parse()), "What is recognised in a record.", default=Parse(), restart="shipper"
    )
    multiline: Multiline | None = setting(
        Table(Multiline(), optional=True),
        "Lines that belong together become one record; without it, each is one.",
        default=None,
        restart="shipper",
    )
    file: LogFile | None = setting(
        Table(LogFile(), optional=True),
        "A rotating file to which the records are written as well.",
        default=None,
        restart="shipper",
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
