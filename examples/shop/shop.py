"""Which services the shop has, on which ports, and with what each is started."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from sidecars import Service


@dataclass(frozen=True)
class Shop:
    """The services: three from the start, a second version of orders and a second instance of it for later. And where customers and partners come in."""

    billing: Service
    orders: Service
    storefront: Service
    following: Service
    second: Service
    front: str
    edge: str

    @property
    def services(self) -> list[Service]:
        """Those of the start, in the order of their dependence: whom others call comes first."""
        return [self.billing, self.orders, self.storefront]


def make_shop(base: Path, receiver: str) -> Shop:
    """Everything on free ports, with its files under `base` and its telemetry shipped to `receiver`. Nothing is started."""
    billing, orders, storefront, following, second, front, edge = _free_ports(7)
    ship = {"telemetry.otlp": receiver, "telemetry.protocol": "http/json", "telemetry.batch.wait": "500ms"}
    to_billing = {"app.env.BILLING_URL": f"http://127.0.0.1:{billing}", **ship}
    name = "orders-next"
    warm = "health.checks.warm"
    warming_up = {f"{warm}.kind": "startup", f"{warm}.exec": '["sleep", "0.7"]', f"{warm}.timeout": "10s"}
    return Shop(
        billing=Service(
            "billing",
            billing,
            base,
            {"app.ready.tcp": str(billing), "health.checks.port.tcp": f"127.0.0.1:{billing}", **ship},
        ),
        orders=Service("orders", orders, base, to_billing),
        storefront=Service(
            "storefront",
            storefront,
            base,
            {
                # Where orders are taken, its sidecar knows.
                "ambassador.upstreams.orders.urls": f"http://127.0.0.1:{orders}",
                "offload.listen": f"127.0.0.1:{front}",
                # Whoever shows the demo can read this folder, wherever it is; another user perhaps cannot.
                "offload.user": str(os.geteuid()),
                "proxies.0.values.listen": f"127.0.0.1:{edge}",
                **ship,
            },
        ),
        # It is ready at once, and healthy a moment later: only then others are told of it.
        following=Service(name, following, base, {"app.name": name, "app.env.SERVICE": name, **warming_up, **to_billing}, "orders"),
        second=Service("orders-2", second, base, to_billing, "orders"),
        front=f"http://127.0.0.1:{front}",
        edge=f"http://127.0.0.1:{edge}",
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
