"""The whole of the settings, and the sections that belong to later versions."""

from dataclasses import dataclass, field

from pillion.settings.app import App
from pillion.settings.logs import Logs
from pillion.settings.shapes import Table, setting
from pillion.settings.sidecar import Agent, Api, Shipper
from pillion.settings.telemetry import Telemetry

LATER_SECTIONS = ("store", "health", "ambassador", "inbound", "offload", "proxies")
"""Designed, but not in this version: refused with these words, because "unknown" would send the reader looking for a slip."""


@dataclass(frozen=True)
class Settings:
    """Everything that pillion.toml can say, with every default."""

    app: App = field(
        default=App(), metadata=setting(Table(App()), "The program that has the sidecar.")
    )
    agent: Agent = field(
        default=Agent(),
        metadata=setting(Table(Agent()), "The process that serves the local API and decides."),
    )
    shipper: Shipper = field(
        default=Shipper(),
        metadata=setting(Table(Shipper()), "The process that reads the spool and ships."),
    )
    api: Api = field(
        default=Api(),
        metadata=setting(
            Table(Api()), "Where the local API listens, beside the Unix socket that it always has."
        ),
    )
    logs: Logs = field(default=Logs(), metadata=setting(Table(Logs()), "The app's output."))
    telemetry: Telemetry = field(
        default=Telemetry(),
        metadata=setting(Table(Telemetry()), "Where logs and metrics are shipped."),
    )


ROOT = Table(Settings())
"""The kind of the whole file."""
