"""Job control: with a terminal the app is the foreground group, and stop and continue pass between it, us and the shell."""

from __future__ import annotations

import os

from .lean import signal


class Terminal:
    """The terminal on `fd`, lent to the app's group while it runs; -1 when there is none."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        if fd >= 0:
            # We set the foreground group from the background too (tcsetpgrp(3)).
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    def take_back(self) -> None:
        """Make our own group the foreground again, so that the shell finds the terminal as it left it."""
        self._set(os.getpgrp())

    def app_stopped(self, app_group: int) -> None:
        """The app's group was stopped: stop with it, so that the shell sees a stopped job.

        Returns when we are continued. Without a shell to continue us (we lead the session) the app is continued at once.
        """
        if os.getsid(0) != os.getpid():
            self.take_back()
            os.killpg(os.getpgrp(), signal.SIGSTOP)
            return
        self.lend(app_group)

    def lend(self, app_group: int) -> None:
        """Continue the app's group, in the foreground when we are there ourselves."""
        try:
            if self.fd >= 0 and os.tcgetpgrp(self.fd) == os.getpgrp():
                self._set(app_group)
            os.killpg(app_group, signal.SIGCONT)
        except OSError:
            return  # the group has ended, or the terminal has hung up; either reaches us by another way

    def _set(self, group: int) -> None:
        if self.fd < 0:
            return
        try:
            os.tcsetpgrp(self.fd, group)
        except OSError:
            return  # hung up
