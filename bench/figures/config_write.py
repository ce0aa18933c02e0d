"""What a write of configuration costs, with its history, beside etcd on the same disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench import api, loading, syncing
from bench.api import request_bytes
from bench.etcd import Etcd, put_body
from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.peers import ETCD

if TYPE_CHECKING:
    from bench.workbench import Bench

_PATH = "/v1/config/shop/price"
_DURABLE = f"{PILLION}: store.sync = full"
_NORMAL = f"{PILLION}: store.sync = normal"
_DISK = "the disk alone"


def run(bench: Bench) -> list[Row]:
    """Write the same key again and again on one connection, each subject in turn."""
    subjects: dict[str, loading.Target] = {}
    body = json.dumps({"value": 12.5}).encode()
    for name, sync in ((_DURABLE, "full"), (_NORMAL, "normal")):
        instance = Instance(bench, [bench.programs.first_act], settings=[f'store.sync="{sync}"'])
        instance.wait_ready()
        # The first write of a key answers 201, which the load would count as a failure.
        api.ask(instance.socket, _PATH, method="PUT", body={"value": 12.5})
        subjects[name] = loading.unix(bench, instance, _PATH, method="PUT", body=body)
    etcd = Etcd(bench)
    question = request_bytes(
        "/v3/kv/put",
        f"127.0.0.1:{etcd.port}",
        method="POST",
        body=json.dumps(put_body("shop/price", "12.5")).encode(),
    )
    subjects["etcd: HTTP gateway"] = loading.target(bench, f"tcp:{etcd.port}", question)
    p50: dict[str, list[float]] = {name: [] for name in subjects}
    p99: dict[str, list[float]] = {name: [] for name in subjects}
    failed = dict.fromkeys(subjects, 0)
    disk: list[float] = []
    folder = bench.fresh("disk")
    for _ in range(bench.runs(5)):
        disk.append(syncing.p50_ms(folder, bench.seconds(2, 1) / 2))
        for name, where in subjects.items():
            got = loading.Loading(bench, where, 1, seconds=bench.seconds(2, 1)).result()
            p50[name].append(got.p50_us / 1e3)
            p99[name].append(got.p99_us / 1e3)
            failed[name] += got.failures
    rows = [
        Row(
            "p50 of a write with history, one connection",
            name,
            "ms",
            p50[name],
            Target(1) if name == _DURABLE else None,
            f"{failed[name]} failed",
        )
        for name in subjects
    ]
    rows.append(Row("p50 of as many bytes written over and fdatasync(2)", _DISK, "ms", disk))
    beside = [whole / alone for whole, alone in zip(p50[_DURABLE], disk, strict=True)]
    rows.append(Row("p50 beside the disk alone", _DURABLE, "times", beside))
    return rows + [Row("p99 of the same", name, "ms", p99[name]) for name in subjects]


FIGURE = Figure(
    name="config-write",
    says="Writes of one key of configuration, each a revision in the history.",
    target="a write with history at most 1 ms p50",
    run=run,
    peers=(ETCD,),
    caveats=(
        "`full` and etcd wait for the disk at each write; `normal` survives any crash of a process, not a power failure.",
        "The disk alone is what no durable write can be faster than: on a slow one it is most of the figure.",
    ),
)
