"""Pillion laid out as a wheel lays it out, in a virtual environment of its own.

A development tree is found through site and a path file, which every start would pay for, and it changes while
others work on it. What users have is neither, so figures are taken from a copy without both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from glob import glob

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclass(frozen=True, slots=True)
class Installation:
    """`pillion` is the command, `python` the interpreter beside it, `compiled` whether the codec is machine code."""

    pillion: str
    python: str
    packages: str
    version: str
    compiled: bool


def install(folder: str) -> Installation:
    """Lay Pillion out under `folder`, with the packages of the environment that runs us."""
    venv.create(folder, symlinks=True, with_pip=False)
    python = f"{folder}/bin/python"
    packages = sysconfig.get_path(
        "purelib", "venv", vars={"base": folder, "platbase": folder, "installed_base": folder}
    )
    own = sysconfig.get_path("purelib")
    for name in os.listdir(own):
        if not name.startswith(("pillion", "__")) and not name.endswith(".pth"):
            os.symlink(f"{own}/{name}", f"{packages}/{name}")
    shutil.copytree(
        f"{_ROOT}/src/pillion", f"{packages}/pillion", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run([python, "-I", "-m", "compileall", "-q", f"{packages}/pillion"], check=True)
    command = f"{folder}/bin/pillion"
    shutil.copy(f"{_ROOT}/scripts/pillion", command)
    os.chmod(command, 0o755)
    version = subprocess.run(
        [python, "-I", "-c", "import pillion; print(pillion.__version__)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    compiled = bool(glob(f"{packages}/pillion/http/codec/*.so"))
    return Installation(command, python, packages, version, compiled)


def beside_us(program: str) -> str:
    """Where a program of the environment that runs us would be."""
    return os.path.join(os.path.dirname(sys.executable), program)
