"""The settings in force: those of the file with the configuration over them, or the last that held when a change does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pillion.ambassador.overlay import overlaid
from pillion.ambassador.snapshot import APP
from pillion.settings.problems import SettingsError
from pillion.settings.routes import RESERVED_NAMES
from pillion.settings.tree import ROOT
from pillion.settings.upstreams import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pillion.settings import Settings
    from pillion.settings.problems import Problem
    from pillion.settings.shapes import Table

MOST_SERVICES = 1000
"""Services of the registry that the proxy knows beside the upstreams of the settings."""

_AMBASSADOR = cast("Table", ROOT.member("ambassador"))
_INBOUND = cast("Table", ROOT.member("inbound"))


class Policy:
    """`settings` are those in force, `overlay` the configuration keys that are over the file's. `problems` say why others are not."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings
        self._services: tuple[str, ...] = ()
        self._wanted: Mapping[str, object] = {}
        self.settings = settings
        self.overlay: dict[str, object] = {}
        self.problems: tuple[Problem, ...] = ()
        self._write_down()

    def change_file(self, settings: Settings) -> None:
        """Other settings. What the configuration says over them is tried anew: it may fit now, or no longer."""
        self._file = settings
        for values in (self._wanted, self.overlay):
            if self._over(values):
                return
        # What held over the old ones does not over these: they stand alone, and `problems` says so.
        self._hold({}, settings)

    def change_overlay(self, values: Mapping[str, object]) -> bool:
        """Other configuration keys, all of them. False when they are refused, and everything stays."""
        self._wanted = dict(values)
        return self._over(values)

    def begin_with(self, overlay: Mapping[str, object]) -> None:
        """Take over what held for an agent before us, until the configuration is known; what does not fit is left."""
        try:
            self._hold(dict(overlay), overlaid(self._file, overlay))
        except SettingsError:
            return

    def change_services(self, names: Iterable[str]) -> bool:
        """The services of the registry, which the proxy offers by their names; whether that made a difference."""
        services: tuple[str, ...] = ()
        if self.settings.ambassador.proxy is not None:
            taken = {*self.settings.ambassador.upstreams, *RESERVED_NAMES}
            services = tuple(sorted(name for name in names if name not in taken)[:MOST_SERVICES])
        if services == self._services:
            return False
        self._services = services
        self._write_down()
        return True

    def _over(self, values: Mapping[str, object]) -> bool:
        try:
            found = overlaid(self._file, values)
        except SettingsError as error:
            self.problems = error.problems
            return False
        self.problems = () if values == self._wanted else self.problems
        self._hold(dict(values), found)
        return True

    def _hold(self, overlay: dict[str, object], settings: Settings) -> None:
        self.overlay = overlay
        self.settings = settings
        self._write_down()

    def _write_down(self) -> None:
        """What snapshots say of it, made once for each change of it: endpoints change more often."""
        held = self.settings.ambassador
        offered = {name: Upstream(service=name, listen=None) for name in self._services}
        self.upstreams: Mapping[str, Upstream] = {**held.upstreams, **offered}
        # Without a receiver nobody reads spans, and the callers who sample would fill the spool with them.
        export = held.trace.export and self.settings.telemetry.otlp is not None
        trace = held.trace.replace(export=export)
        encoded = _AMBASSADOR.encode(held.replace(upstreams=self.upstreams, trace=trace))
        self.encoded = cast("dict[str, object]", encoded)
        inbound = self.settings.inbound
        self.encoded_inbound: dict[str, object] | None = None
        if inbound is not None:
            self.encoded_inbound = cast("dict[str, object]", _INBOUND.encode(inbound))

    @property
    def app_upstream(self) -> str | None:
        """The name of the upstream that `inbound` leads to; None without one."""
        return None if self.settings.inbound is None else APP
