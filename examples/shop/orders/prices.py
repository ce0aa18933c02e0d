"""What things cost: read from configuration, and followed while the service runs.

The list is kept by whoever started the service with a sidecar, under the prefix `prices/`: one GET, which the sidecar
answers when something has changed. Without one there is the list below.
"""

import http.client
import json
import logging
import os
import threading
import time
from urllib.parse import urlsplit

_LIST = {"kettle": 3490, "teapot": 2150, "cup": 890, "tea": 1290}
_PREFIX = "prices/"
_WAIT_S = 30

log = logging.getLogger("prices")


class Prices:
    """The list as it is; `follow` keeps it so from a thread of its own."""

    def __init__(self) -> None:
        self._cents = dict(_LIST)
        self._address = urlsplit(os.environ.get("PILLION_URL", ""))
        self._token = os.environ.get("PILLION_TOKEN", "")

    def cents(self, item: str) -> int:
        """The price of an item. Raises KeyError for what is not on the list."""
        return self._cents[item]

    def all(self) -> dict[str, int]:
        """The list as it is now."""
        return dict(self._cents)

    def follow(self) -> None:
        """Begin to follow the configuration, where there is one."""
        if self._address.hostname:
            threading.Thread(target=self._follow, name="prices", daemon=True).start()

    def _follow(self) -> None:
        revision: int | None = None
        while True:
            try:
                revision = self._read(revision)
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                # The list as it was last known is better than none.
                log.warning("cannot read the prices: %s; asking again", error)
                time.sleep(1)

    def _read(self, revision: int | None) -> int:
        """Wait for something newer than `revision`, take it over, and return its revision."""
        assert self._address.hostname
        connection = http.client.HTTPConnection(
            self._address.hostname, self._address.port, timeout=_WAIT_S + 10
        )
        try:
            path = f"/v1/config?prefix={_PREFIX}"
            if revision is not None:  # an empty store is at 0, and waited for as any other
                path += f"&wait={_WAIT_S}s&revision={revision}"
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            body = json.load(answer)
        finally:
            connection.close()
        if answer.status != 200:
            raise OSError(f"status {answer.status}: {body.get('detail')}")
        prices = {item["key"].removeprefix(_PREFIX): int(item["value"]) for item in body["items"]}
        changed = {item: cents for item, cents in prices.items() if self._cents.get(item) != cents}
        self._cents = {**_LIST, **prices}
        for item, cents in changed.items():
            log.info("%s costs %.2f now", item, cents / 100)
        return int(body["revision"])
