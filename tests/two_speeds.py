"""The hot path of logs twice: as installed (compiled where a compiler was), and from its Python sources."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pillion.logs

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("lines", "times", "facts", "jsonline", "recognise", "losses", "protobuf")
_FOLDER = os.path.dirname(str(pillion.logs.__file__))


class _Sources(importlib.abc.MetaPathFinder):
    """Finds these modules as .py files, whatever is compiled beside them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if package != "pillion.logs" or name not in NAMES:
            return None
        file = f"{_FOLDER}/{name}.py"
        loader = importlib.machinery.SourceFileLoader(fullname, file)
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def _load() -> SimpleNamespace:
    return SimpleNamespace(
        **{name: importlib.import_module(f"pillion.logs.{name}") for name in NAMES}
    )


def _load_sources() -> SimpleNamespace:
    full = [f"pillion.logs.{name}" for name in NAMES]
    installed = {name: sys.modules.pop(name) for name in full if name in sys.modules}
    finder = _Sources()
    sys.meta_path.insert(0, finder)
    try:
        return _load()
    finally:
        sys.meta_path.remove(finder)
        sys.modules.update(installed)
        for name, module in installed.items():
            setattr(pillion.logs, name.rpartition(".")[2], module)


BOTH = {"installed": _load(), "source": _load_sources()}
