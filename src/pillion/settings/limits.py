"""Upper bounds of a component, the same for app and sidecar."""

from dataclasses import dataclass, field

from pillion.settings.kinds import Number, Whole
from pillion.settings.quantities import Size
from pillion.settings.shapes import setting


@dataclass(frozen=True)
class Limits:
    """Upper bounds of a component with all its children. None: no bound."""

    memory_bytes: int | None = field(
        default=None,
        metadata=setting(
            Size(1 << 20, none_words=("none",)),
            "Memory of the component with all its children. Beyond it the whole component is ended, with the cause in the journal.",
            example="512M",
        ),
    )
    cpu: float | None = field(
        default=None,
        metadata=setting(
            Number(0.01, 1024, "a number of cores such as 1.5", none_words=("none",)),
            "Cores; 1.5 is one and a half.",
            example=1.5,
            also=("cpus", "cores"),
        ),
    )
    processes: int | None = field(
        default=None,
        metadata=setting(
            Whole(1, 4194304, none_words=("none",)),
            "Processes and threads.",
            example=200,
            also=("pids", "tasks"),
        ),
    )
    open_files: int | None = field(
        default=None,
        metadata=setting(
            Whole(16, 1048576, none_words=("none",)),
            "Open files of each process.",
            example=4096,
            also=("nofile", "files"),
        ),
    )
