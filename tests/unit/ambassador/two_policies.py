"""The policies twice: as installed (compiled where a compiler was), and as their Python sources, under another name."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType, SimpleNamespace

import pillion.ambassador as installed

NAMES = (
    "window",
    "breaker",
    "budget",
    "rate",
    "concurrency",
    "endpoint",
    "balance",
    "tier",
    "endpoints",
    "line",
    "pool",
)
_NAME = "pillion_ambassador_source"
_FOLDER = os.path.dirname(str(installed.__file__))


class _SourceFinder(importlib.abc.MetaPathFinder):
    """Finds these modules as .py files, whatever lies beside them."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _NAME and not fullname.startswith(_NAME + "."):
            return None
        tail = fullname[len(_NAME) + 1 :]
        file = os.path.join(_FOLDER, f"{tail or '__init__'}.py")
        loader = importlib.machinery.SourceFileLoader(fullname, file)
        return importlib.util.spec_from_file_location(
            fullname, file, loader=loader, submodule_search_locations=None if tail else [_FOLDER]
        )


def _load(package: str) -> SimpleNamespace:
    modules: dict[str, ModuleType] = {
        name: importlib.import_module(f"{package}.{name}") for name in NAMES
    }
    return SimpleNamespace(**modules)


if _NAME not in sys.modules:
    sys.meta_path.insert(0, _SourceFinder())
INSTALLED = _load("pillion.ambassador")
SOURCE = _load(_NAME)
