"""What is still to be told to an app whose files have changed. It is written down before a file is replaced, so that an agent that is
killed between the two leaves it to its successor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pillion.settings.config import ConfigFile


class _Noted(msgspec.Struct, frozen=True):
    run: str
    pid: int
    signals: list[str]
    commands: list[list[str]]


class Pending:
    """Signals and commands for the app's process `pid`, each once however many files ask for it.

    A new process of the app reads the files by itself and is owed nothing.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.signals: dict[str, None] = {}
        self.commands: dict[tuple[str, ...], None] = {}

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.signals or self.commands)

    def meet(self, pid: int) -> None:
        """The app is the process `pid` now (0: it does not run)."""
        if pid != self.pid:
            self.pid = pid
            self.clear()

    def add(self, file: ConfigFile) -> None:
        """`file` has changed."""
        if not self.pid:
            return
        if file.signal is not None:
            self.signals[file.signal] = None
        if file.command:
            self.commands[file.command] = None

    def clear(self) -> None:
        """Everything is done."""
        self.signals.clear()
        self.commands.clear()

    def note(self, run: str, file: ConfigFile) -> bytes:
        """What a successor in the same `run` needs to know when `file` changes now; empty for nothing."""
        with_file = Pending()
        with_file.pid = self.pid
        with_file.signals.update(self.signals)
        with_file.commands.update(self.commands)
        with_file.add(file)
        if not with_file:
            return b""
        commands = [list(command) for command in with_file.commands]
        return msgspec.json.encode(_Noted(run, self.pid, list(with_file.signals), commands))

    def recall(self, note: bytes, run: str) -> None:
        """Take over what a predecessor has noted, if it is for the same process; nonsense is nothing."""
        try:
            noted = msgspec.json.decode(note, type=_Noted)
        except msgspec.DecodeError:
            return
        if (noted.run, noted.pid) == (run, self.pid):
            self.signals.update(dict.fromkeys(noted.signals))
            self.commands.update(dict.fromkeys(map(tuple, noted.commands)))
