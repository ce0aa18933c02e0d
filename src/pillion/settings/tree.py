"""The whole of the settings."""

from __future__ import annotations

from pillion.settings.ambassador import Ambassador
from pillion.settings.app import App
from pillion.settings.config import Config
from pillion.settings.edges import Inbound
from pillion.settings.health import Health
from pillion.settings.lean import cast
from pillion.settings.logs import Logs
from pillion.settings.offload import Offload
from pillion.settings.proxies import MOST_PROXIES, ManagedProxy
from pillion.settings.record import Record, setting
from pillion.settings.secrets import Secret, secrets_kind
from pillion.settings.service import Service
from pillion.settings.shapes import Table
from pillion.settings.sidecar import Agent, Api, Shipper
from pillion.settings.store import Store
from pillion.settings.tables import NO_RECORDS, Tablelist
from pillion.settings.telemetry import Telemetry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


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
    store: Store = setting(
        Table(Store()),
        "Where configuration, manual registrations and locks are kept.",
        default=Store(),
        also=("storage", "database", "db"),
    )
    config: Config = setting(
        Table(Config()),
        "The configuration that the app reads over the local API, and where else it is put.",
        default=Config(),
        also=("configuration", "configs"),
    )
    service: Service = setting(
        Table(Service()),
        "The app as others find it. It is registered when it is healthy, and only then.",
        default=Service(),
        also=("discovery", "registration", "services"),
    )
    health: Health = setting(
        Table(Health()),
        "What is checked, besides that the app runs and says what it says.",
        default=Health(),
        also=("healthcheck", "checks", "healthchecks"),
    )
    secrets: Mapping[str, Secret] = setting(
        secrets_kind(),
        "Secrets by reference: where each is kept. Their values stand nowhere in the settings.",
        default=cast("Mapping[str, Secret]", NO_RECORDS),
        also=("secret",),
    )
    ambassador: Ambassador = setting(
        Table(Ambassador()),
        "The data plane: the processes through which the app calls others, and others call the app. They run only where there is an "
        "upstream, a proxy or `[inbound]`.",
        default=Ambassador(),
        also=("outbound", "mesh", "envoy", "gateway"),
    )
    inbound: Inbound | None = setting(
        Table(Inbound(), shorthand="listen", optional=True),
        "A listener of the ambassador in front of `app.port`, for those who call the app; without it, none.",
        default=None,
        also=("ingress", "frontend", "front"),
    )
    offload: Offload | None = setting(
        Table(Offload(), shorthand="root", optional=True),
        "An nginx in front of the app, which takes the static files off its hands; without it, none.",
        default=None,
        also=("static", "static_files", "assets", "public"),
    )
    proxies: tuple[ManagedProxy, ...] = setting(
        Tablelist(ManagedProxy(), most=MOST_PROXIES),
        "NGINX and HAProxy whose configuration is written from templates, and written again when what they name has changed.",
        default=(),
        also=("proxy", "nginx", "haproxy", "managed_proxies"),
    )

    @property
    def uses_ambassador(self) -> bool:
        """Whether there is anything for the ambassador to do."""
        held = self.ambassador
        return bool(held.upstreams) or held.proxy is not None or self.inbound is not None

    @property
    def uses_proxies(self) -> bool:
        """Whether there is a proxy to manage, the offload's nginx among them."""
        return bool(self.proxies) or self.offload is not None


ROOT = Table(Settings())
"""The kind of the whole file."""
