"""Templates and values become a version of a proxy's files, the same for the same values: nothing is fetched and nothing is written here.

Rendering has two phases, because a template says while it runs what it uses: values that it was not given are named in `Missing`, and the
caller fetches those and renders again.
"""

from __future__ import annotations

import os
import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from pillion.proxies.templating.rendered import Missing, Rendered, RenderError
from pillion.proxies.templating.shipped import PREFIX, shipped_name, template_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.proxies.templating.engine import Code
    from pillion.proxies.templating.facts import Facts, ProxyKind
    from pillion.proxies.templating.references import Reference

__all__ = ["LIMIT_S", "Missing", "RenderError", "Rendered", "Templates", "render"]

LIMIT_S = 2.0
"""How long rendering may take; what takes longer has no end."""


class Templates:
    """Where a proxy's files come from: `main` and `files` are names of files with the path of each one's template, or `pillion:` and the name of
    a shipped one. `values` is what the settings say for them.

    Raises `RenderError` for a shipped template that there is not.
    """

    def __init__(
        self,
        kind: ProxyKind,
        main: tuple[str, str],
        files: Mapping[str, str] = MappingProxyType({}),
        values: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.kind = kind
        self.values = values
        named = [main, *sorted((name, one) for name, one in files.items() if name != main[0])]
        self.paths = {name: _path_of(kind, template) for name, template in named}
        """The template of each file, the main one's first."""
        self.code: Code | None = None
        """What is compiled, of `template_rendering`."""

    def shown(self, path: str) -> str:
        """How messages call a template: a shipped one by its name, others by their file's."""
        return shipped_name(path) or os.path.basename(path)


def render(
    templates: Templates,
    values: Mapping[Reference, object],
    facts: Facts,
    *,
    limit_s: float = LIMIT_S,
    clock_s: Callable[[], float] = time.monotonic,
) -> Rendered | Missing:
    """The files that `templates` make of `values`, or which values are missing.

    It reads the templates and takes up to `limit_s`, after which it ends by itself: call it in a thread (`asyncio.to_thread`). One at a time for
    each `templates`. Raises `RenderError` for what makes no configuration.
    """
    # Jinja2 is paid for by those who have a proxy, at its first rendering.
    from pillion.proxies.templating.rendering import Rendering

    return Rendering(templates, values, facts, clock_s, clock_s() + limit_s).result()


def _path_of(kind: ProxyKind, template: str) -> str:
    return (
        template_path(kind, template) if template.startswith(PREFIX) else os.path.abspath(template)
    )
