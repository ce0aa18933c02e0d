"""Talking to locks of a real instance, from a test or from a process of its own that may be killed.

python tests/lock_client.py SOCKET NAME LOG LOOPS    takes and releases a lock bound to itself, and writes what it saw
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from typing import Any

from pillion.http.blocking import BlockingClient, BlockingError

JSON = (b"content-type", b"application/json")


def ask(
    client: BlockingClient, method: str, path: str, body: object = None, *more: tuple[bytes, bytes]
) -> tuple[int, dict[str, Any]]:
    """One request; status and JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    fields = [*more, *([] if data is None else [JSON])]
    with client.request(method, path, fields, data) as answer:
        text = answer.read()
    return answer.status, json.loads(text) if text else {}


def socket_of(instance: Any) -> str:
    """The API's socket of an instance."""
    return f"{instance.runtime}/api.sock"


def work(socket_path: str, name: str, log: str, loops: int) -> None:
    """Be in the critical section so many times: alone there, or it is written to the log."""
    path = f"/v1/locks/{name}"
    with open(f"{log}.inside", "a+b") as inside, open(log, "ab", buffering=0) as told:
        for _ in range(loops):
            try:
                with BlockingClient.unix(socket_path, 60.0) as client:
                    wanted = {"wait": "30s", "ttl": "10s", "bind": "process"}
                    status, lease = ask(client, "PUT", path, wanted)
                    if status != 201:
                        continue
                    try:
                        # The kernel's own lock is the oracle: it is free when who held ours has ended.
                        fcntl.flock(inside, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        alone = True
                    except BlockingIOError:
                        alone = False
                    told.write(
                        json.dumps({"token": lease["token"], "alone": alone}).encode() + b"\n"
                    )
                    time.sleep(0.002)
                    fcntl.flock(inside, fcntl.LOCK_UN)
                    ask(client, "DELETE", f"{path}?lease={lease['lease']}")
            except BlockingError:
                time.sleep(0.05)


if __name__ == "__main__":
    print(os.getpid(), flush=True)
    work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
