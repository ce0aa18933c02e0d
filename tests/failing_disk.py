"""A disk that can be made to fail: a small file system of our own, in a file."""

from __future__ import annotations

import os
import subprocess


class Disk:
    """A small ext4 file system of our own."""

    def __init__(self, root: str, megabytes: int) -> None:
        self.image, self.path = os.path.join(root, "disk.img"), os.path.join(root, "disk")
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", self.image], check=True)
        os.mkdir(self.path)
        self.mount()

    def mount(self, *options: str) -> None:
        subprocess.run(
            ["mount", "-o", ",".join(("loop", *options)), self.image, self.path], check=True
        )

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=True)

    def fill(self) -> str:
        """Use up every block; returns the file that does."""
        path = os.path.join(self.path, "ballast")
        with open(path, "wb", buffering=0) as file:
            for block in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(block))
                except OSError:
                    continue
        return path

    def freeze(self, seconds: float) -> subprocess.Popen[bytes]:
        """Let every write hang for a time; the thaw comes from the process returned, whatever happens to us."""
        thaw = subprocess.Popen(["sh", "-c", f"sleep {seconds}; exec fsfreeze -u {self.path}"])
        subprocess.run(["fsfreeze", "-f", self.path], check=True)
        return thaw
