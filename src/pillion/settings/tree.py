"""The whole of the settings, and the sections that belong to later versions."""

from pillion.settings.app import App
from pillion.settings.logs import Logs
from pillion.settings.record import Record, setting
from pillion.settings.shapes import Table
from pillion.settings.sidecar import Agent, Api, Shipper
from pillion.settings.telemetry import Telemetry

LATER_SECTIONS = ("store", "health", "ambassador", "inbound", "offload", "proxies")
"""Designed, but not in this version: refused with these words, because "unknown" would send the reader looking for a slip."""


class Settings(Record):
    """Everything that pillion.toml can say, with every default."""

    app: App = setting(Table(App()), "The program that has the sidecar.", default=App())
    agent: Agent = setting(
        Table(Agent()), "The process that serves the local API and decides.", default=Agent()
    )
    shipper: Shipper = setting(
        Table(Shipper()), "The process that reads the spool and ships.", default=Shipper()
    )
    api: Api = setting(
        Table(Api()),
        "Where the local API listens, beside the Unix socket that it always has.",
        default=Api(),
    )
    logs: Logs = setting(Table(Logs()), "The app's output.", default=Logs())
    telemetry: Telemetry = setting(
        Table(Telemetry()), "Where logs and metrics are shipped.", default=Telemetry()
    )


ROOT = Table(Settings())
"""The kind of the whole file."""
