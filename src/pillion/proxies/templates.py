"""Templates and values become a version of a proxy's files, the same for the same values: nothing is fetched and nothing is written here.

Rendering has two phases, because a template says while it runs what it uses: values that it was not given are named in `Missing`, and the
caller fetches those and renders again.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from pillion.proxies.rendered import Missing, RenderError
from pillion.proxies.rendered import Rendered as Rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.proxies.facts import Facts, ProxyKind
    from pillion.proxies.references import Reference

LIMIT_S = 2.0
"""How long rendering may take; what takes longer has no end."""


class Templates:
    """Where a proxy's files come from: `main` and `files` are names of files with the path of each one's template, or `pillion:` and the name of
    a shipped one. `values` is what the settings say for them.
    """

    def __init__(
        self,
        kind: ProxyKind,
        main: tuple[str, str],
        files: Mapping[str, str] = MappingProxyType({}),
        values: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.kind = kind
        self.main = main
        self.files = files
        self.values = values


def render(
    templates: Templates,
    values: Mapping[Reference, object],
    facts: Facts,
    *,
    limit_s: float = LIMIT_S,
    clock_s: Callable[[], float] = time.monotonic,
) -> Rendered | Missing:
    """The files that `templates` make of `values`, or which values are missing.

    It reads the templates and takes up to `limit_s`: call it in a thread (`asyncio.to_thread`), which ends by itself. Raises `RenderError`
    for what makes no configuration.
    """
    del values, limit_s, clock_s
    raise RenderError(f"cannot render {facts.name}: {templates.main[1]} cannot be read yet")
