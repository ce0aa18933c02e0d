"""A disk that hangs when told to: an ext4 image on a loop device, frozen and thawed.

A frozen file system holds everyone who touches it, so it is thawed three times over: when the freeze ends, when the disk
is given back, and by a process of its own that waits for nobody.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from bench.figure import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.workbench import Bench

_SIZE = 512 << 20
_TOOLS = {"mkfs.ext4": "e2fsprogs", "fsfreeze": "util-linux", "mount": "mount", "losetup": "mount"}
_SLACK_S = 5.0
_UNMOUNT_S = 10.0


class Disk:
    """A mounted ext4 image at `path`. Raises Unavailable without root, the tools or a loop device."""

    def __init__(self, bench: Bench) -> None:
        if os.geteuid() != 0:
            raise Unavailable("a disk can be made to hang by root alone; run make bench as root")
        search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        for tool, package in _TOOLS.items():
            if shutil.which(tool, path=search) is None:
                raise Unavailable(f"{tool} is missing; install it with: apt-get install {package}")
        self._env = {**os.environ, "PATH": search}
        self.path = bench.fresh("disk")
        image = f"{self.path}.img"
        with open(image, "wb") as file:
            file.truncate(_SIZE)
        self._call("mkfs.ext4", "-q", "-F", image)
        try:
            self._call("mount", "-o", "loop", image, self.path)
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"cannot mount a loop device: {error.stderr.strip()}") from error
        bench.stack.callback(self._unmount)

    @contextlib.contextmanager
    def frozen(self, at_most_s: float) -> Iterator[None]:
        """Let the disk hang for as long as the block runs, but no longer than `at_most_s` and some slack."""
        watchdog = subprocess.Popen(
            [
                "sh",
                "-c",
                'sleep "$1"; fsfreeze -u "$2"',
                "sh",
                str(at_most_s + _SLACK_S),
                self.path,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._env,
            start_new_session=True,
        )
        try:
            self._call("fsfreeze", "-f", self.path)
            yield
        finally:
            self._thaw()
            # Its group is its own: the sleep goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(watchdog.pid, 9)
            watchdog.wait()

    def _thaw(self) -> None:
        subprocess.run(
            ["fsfreeze", "-u", self.path], env=self._env, capture_output=True, check=False
        )

    def _unmount(self) -> None:
        self._thaw()
        deadline = time.monotonic() + _UNMOUNT_S
        while True:
            done = subprocess.run(
                ["umount", self.path], env=self._env, capture_output=True, check=False
            )
            if done.returncode == 0:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        # Somebody still has a file open: out of sight now, gone with the last descriptor.
        subprocess.run(["umount", "-l", self.path], env=self._env, check=False)

    def _call(self, *command: str) -> None:
        subprocess.run(command, env=self._env, check=True, capture_output=True, text=True)
