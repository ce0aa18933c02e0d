"""Upper bounds of a component, the same for app and sidecar."""

from pillion.settings.kinds import Number, Whole
from pillion.settings.quantities import Size
from pillion.settings.record import Record, setting


class Limits(Record):
    """Upper bounds of a component with all its children. None: no bound."""

    memory_bytes: int | None = setting(
        Size(1 << 20, none_words=("none",)),
        "Memory of the component with all its children. Beyond it the whole component is ended, with the cause in the journal.",
        default=None,
        example="512M",
    )
    cpu: float | None = setting(
        Number(0.01, 1024, "a number of cores such as 1.5", none_words=("none",)),
        "Cores; 1.5 is one and a half.",
        default=None,
        example=1.5,
        also=("cpus", "cores"),
    )
    processes: int | None = setting(
        Whole(1, 4194304, none_words=("none",)),
        "Processes and threads.",
        default=None,
        example=200,
        also=("pids", "tasks"),
    )
    open_files: int | None = setting(
        Whole(16, 1048576, none_words=("none",)),
        "Open files of each process.",
        default=None,
        example=4096,
        also=("nofile", "files"),
    )
