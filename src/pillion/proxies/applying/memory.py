"""What is noted on disk about one proxy's versions: how each was made, which one was chosen by hand, and what became of every attempt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pillion.proxies.applying.whole import whole
from pillion.proxies.files.history import History
from pillion.proxies.files.moving import finish
from pillion.proxies.files.outline import Outlines, outline_of
from pillion.proxies.files.site import FilesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.proxies.applying.steps import Record
    from pillion.proxies.files.outline import Outline
    from pillion.proxies.files.site import Site
    from pillion.proxies.templating.references import Reference
    from pillion.proxies.templating.rendered import Rendered


class Memory:
    """`history` are at most `most` earlier attempts, `pinned` is the version that was chosen by hand ("": none); `failures` counts what could not be noted."""

    def __init__(self, site: Site, most: int) -> None:
        self._outlines = Outlines(site.state)
        self.pinned = ""
        self.failures = 0
        self.renew(site, most)

    def renew(self, site: Site, most: int) -> None:
        """Take over other settings."""
        self._site = site
        self.history = History(site.history, most)

    async def find(self, version: str) -> Outline | None:
        """How a version in place was made; None when nobody knows."""
        return await whole(self._outlines.find, version)

    async def begin(self, rendered: Rendered, used: frozenset[Reference]) -> None:
        """Note how a version is made that is about to be moved in. Raises `OSError`."""
        await whole(self._outlines.begin, outline_of(rendered, used, at_s=time.time()))

    async def keep(self, live: Rendered, used: frozenset[Reference]) -> None:
        """Note that `live`, which is in place, is the last good one."""
        outline = outline_of(live, used, pinned=self.pinned, at_s=time.time())
        try:
            await whole(self._outlines.finish, outline)
            await whole(finish, self._site)
        except (FilesError, OSError):
            # It serves; a next agent would prove it once more.
            self.failures += 1

    async def note(
        self, record: Record, files: Mapping[str, str], secrets: Mapping[str, str]
    ) -> None:
        """Enter an attempt in the history; `files` is text by name, `secrets` what may stand in it."""
        try:
            await whole(
                lambda: self.history.record(
                    record.version,
                    record.reason,
                    record.outcome,
                    files,
                    at_s=time.time(),
                    previous=record.previous,
                    took_ms=round(record.took_s * 1000, 1),
                    waited_ms=round(record.waited_s * 1000, 1),
                    changes=record.changes,
                    secrets=secrets,
                )
            )
        except FilesError:
            self.failures += 1
