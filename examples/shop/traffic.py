"""Customers: a steady stream of purchases, each with an id by which it can be found again in every service's log. And partners, who read prices."""

import http.client
import json
import random
import threading
import urllib.error
import urllib.request
from collections import Counter, deque
from typing import Self
from urllib.parse import quote

_ITEMS = ("kettle", "teapot", "cup", "tea")
_BAD_COUPON = quote('{"percent": ')


class Traffic:
    """Threads that buy until told to stop. Every answer is counted; an error of ours (5xx, no answer) is kept with its text.

    While `patient`, a shop that says why nothing can be ordered is no error: its customers are turned away.
    """

    def __init__(self, url: str, customers: int = 3, pause_s: float = 0.05) -> None:
        self._url = url
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answered: set[str] = set()
        self.sold = 0
        self.turned_away = 0
        self.patient = False
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._shop, args=(n,), name=f"customer-{n}") for n in range(customers)]

    def start(self) -> None:
        """Let the customers in."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send them home, and wait until the last one has left."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def counts(self) -> tuple[int, int, int]:
        """Answers, purchases among them, failures."""
        with self._lock:
            return len(self.answered), self.sold, len(self.failures)

    def _shop(self, customer: int) -> None:
        chance = random.Random(customer)
        number = 0
        while not self._stop.wait(self._pause_s):
            number += 1
            request_id = f"{customer}-{number:06d}"
            # Now and then somebody wants what nobody sells, or sends a coupon that breaks the parser.
            wish = chance.random()
            if wish < 0.03:
                path = f"/coupon?code={_BAD_COUPON}"
            else:
                path = f"/buy?item={'ladder' if wish < 0.06 else chance.choice(_ITEMS)}"
            self._ask(path, request_id)

    def _ask(self, path: str, request_id: str) -> None:
        request = urllib.request.Request(self._url + path, method="POST", headers={"X-Request-Id": request_id})
        failure = ""
        turned_away = False
        patient = self.patient
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                answer.read()
                status = answer.status
        except urllib.error.HTTPError as refused:
            said = refused.read().decode(errors="replace")
            refused.close()
            status = refused.code
            turned_away = (patient or self.patient) and status == 503 and '"reason"' in said
            if status >= 500 and not turned_away:
                failure = f"{path} id={request_id}: status {status} {said.strip()}"
        except (OSError, http.client.HTTPException) as error:
            status = 0
            failure = f"{path} id={request_id}: {error!r}"
        with self._lock:
            if status:
                self.answered.add(request_id)
            self.sold += status == 201
            self.turned_away += turned_away
            if failure:
                self.failures.append(failure)


class Partners:
    """Threads that read the prices, and note which instance has told them."""

    def __init__(self, url: str, partners: int = 2, pause_s: float = 0.01) -> None:
        self._url = url
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._latest: deque[str] = deque(maxlen=20)
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._read, name=f"partner-{n}") for n in range(partners)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def latest(self) -> set[str]:
        """The instances that have told the latest prices."""
        with self._lock:
            return set(self._latest)

    def _read(self) -> None:
        while not self._stop.wait(self._pause_s):
            name = failure = ""
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:
                    name = str(json.load(answer)["instance"])
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                failure = repr(error)
            with self._lock:
                if failure:
                    self.failures.append(failure)
                else:
                    self.answered[name] += 1
                    self._latest.append(name)
