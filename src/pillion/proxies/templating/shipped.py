"""The templates that Pillion brings along: one name may stand for one template of each kind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pillion.proxies.templating.rendered import RenderError

if TYPE_CHECKING:
    from pillion.proxies.templating.facts import ProxyKind

PREFIX = "pillion:"
_DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "templates")
_SUFFIX = ".j2"


def shipped_names(kind: ProxyKind) -> list[str]:
    """The templates that there are for this kind; those that only others include begin with an underscore and are left out."""
    return sorted(
        name.removesuffix(_SUFFIX)
        for name in os.listdir(os.path.join(_DIRECTORY, kind))
        if name.endswith(_SUFFIX) and not name.startswith("_")
    )


def shipped_name(path: str) -> str:
    """How a shipped template is called, `pillion:load-balancer`; empty for another one's path."""
    directory, name = os.path.split(path)
    return PREFIX + name.removesuffix(_SUFFIX) if os.path.dirname(directory) == _DIRECTORY else ""


def template_path(kind: ProxyKind, template: str) -> str:
    """The path of a shipped template, `pillion:load-balancer`; raises `RenderError` when there is none of that name."""
    name = template.removeprefix(PREFIX)
    if name not in shipped_names(kind):
        known = ", ".join(shipped_names(kind))
        raise RenderError(f"cannot find a template {template} for {kind}; there are {known}")
    return os.path.join(_DIRECTORY, kind, name + _SUFFIX)
