"""What the configuration of the offload goes by besides its settings: where things are, what this nginx can do, and whom it believes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pillion.proxies.offload.build import NginxBuild
    from pillion.proxies.templating.facts import Facts


class OffloadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`facts` are those of the proxy by the name of `offload`.

    `listen` is the address that the keeper has bound, with its real port; `target` where the rest goes, `host:port`. `user` and `group` are
    those that workers run as, None when nginx is not started by root. `workers` is the number of worker processes. `hops` is the number of
    proxies in front of nginx that are believed about the client, and `forwarded` how it is named to the app (`ambassador.http`).
    """

    facts: Facts
    listen: str
    target: str
    build: NginxBuild
    user: str | None = None
    group: str | None = None
    workers: int = 1
    open_files: int = 1024
    hops: int = 0
    forwarded: tuple[str, ...] = ("x-forwarded",)

    @property
    def places(self) -> OffloadPlaces:
        """Where what belongs to it lies."""
        return OffloadPlaces(os.path.dirname(self.facts.directory))


class OffloadPlaces(msgspec.Struct, frozen=True):
    """What lies in `base`, the state directory of the proxy by the name of `offload`."""

    base: str

    @property
    def temporary(self) -> str:
        """Bodies on their way to the app, and answers that are larger than the buffers."""
        return os.path.join(self.base, "temporary")

    @property
    def cache(self) -> str:
        """The microcache."""
        return os.path.join(self.base, "cache")

    @property
    def compressed(self) -> str:
        """A tree like the one of the root, with the compressed files alone."""
        return os.path.join(self.base, "compressed")

    @property
    def compressed_index(self) -> str:
        """Of what the compressed files were made."""
        return os.path.join(self.base, "compressed.json")

    @property
    def gate(self) -> str:
        """The directory of `closed`; the agent writes to it, nginx looks."""
        return os.path.join(self.base, "gate")

    @property
    def closed(self) -> str:
        """A file that is there while nothing may go to the app."""
        return os.path.join(self.gate, "closed")
