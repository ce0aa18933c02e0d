"""Looks for what somebody else has changed in a proxy's files, once for each edit."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.proxies.files.foreign import Told, edits, shown
from pillion.proxies.files.moving import applied

if TYPE_CHECKING:
    from pillion.proxies.files.history import History
    from pillion.proxies.files.site import Site


class Edits:
    """`diff` is what those that were found last have changed, without secrets."""

    def __init__(self, site: Site) -> None:
        self._told = Told(site)
        self.diff = ""

    async def find(self, site: Site, history: History) -> str:
        """What nobody was told of yet, in words; empty when there is nothing."""

        def look() -> tuple[str, ...]:
            written = applied(site)
            if written is None:
                return ()
            found = self._told.news(edits(site, written))
            if found:
                kept = history.shown(written.version)
                self.diff = shown(site, found, kept or {})
            return tuple(
                f"{one.name} {'has been changed' if one.digest else 'is gone'}" for one in found
            )

        try:
            found = await asyncio.to_thread(look)
        except PillionError as error:
            sys.stderr.write(f"pillion-agent: {error}\n")
            return ""
        return f"{', '.join(found)} by somebody else" if found else ""
