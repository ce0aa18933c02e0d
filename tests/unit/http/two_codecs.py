"""The codec twice: as installed (compiled), and as its Python source, under another name."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType

import pillion.http.codec as compiled

_NAME = "pillion_http_codec_source"
_FOLDER = os.path.dirname(compiled.__file__)


class _SourceFinder(importlib.abc.MetaPathFinder):
    """Finds the codec's modules as .py files, whatever lies beside them."""

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


def _load_source() -> ModuleType:
    if _NAME not in sys.modules:
        sys.meta_path.insert(0, _SourceFinder())
    return importlib.import_module(_NAME)


source = _load_source()
BOTH = {"compiled": compiled, "source": source}
