"""Pillion twice in one process: as installed (compiled where a compiler was), and as its Python source.

Coverage can only be seen of what is interpreted, and only what is compiled runs in production, so
that the fuzz program needs both, whatever lies beside the sources.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType, SimpleNamespace

import pillion

CODEC = ("grammar", "events", "head", "framing", "reader", "requests", "responses", "encode")
AMBASSADOR = ("forwarded", "field_rules", "fields", "proxy_protocol")
_NAMES = [
    "pillion.http.codec",
    *(f"pillion.http.codec.{name}" for name in CODEC),
    *(f"pillion.ambassador.{name}" for name in AMBASSADOR),
]


class _Sources(importlib.abc.MetaPathFinder):
    """Finds the modules above as .py files below `root`."""

    def __init__(self, root: str) -> None:
        self.root = root

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _NAMES:
            return None
        file = os.path.join(self.root, *fullname.split("."))
        folder = [file] if os.path.isdir(file) else None
        file = os.path.join(file, "__init__.py") if folder else file + ".py"
        loader = importlib.machinery.SourceFileLoader(fullname, file)
        return importlib.util.spec_from_file_location(
            fullname, file, loader=loader, submodule_search_locations=folder
        )


def _load() -> SimpleNamespace:
    modules: dict[str, ModuleType] = {name: importlib.import_module(name) for name in _NAMES}
    return SimpleNamespace(
        codec=modules["pillion.http.codec"],
        **{name: modules[f"pillion.ambassador.{name}"] for name in AMBASSADOR},
        files=sorted(str(module.__file__) for module in modules.values()),
    )


def load_worlds(root: str | None = None) -> tuple[SimpleNamespace, SimpleNamespace]:
    """Return (source, installed); `root` holds the sources, those of the installed by default.

    Each has `codec`, the modules of AMBASSADOR by name, and `files`.
    """
    installed = _load()
    taken = {name: sys.modules.pop(name) for name in _NAMES}
    finder = _Sources(root or os.path.dirname(os.path.dirname(str(pillion.__file__))))
    sys.meta_path.insert(0, finder)
    try:
        source = _load()
    finally:
        sys.meta_path.remove(finder)
        for name, module in taken.items():
            sys.modules[name] = module
            package, _, last = name.rpartition(".")
            setattr(sys.modules[package], last, module)
    return source, installed
