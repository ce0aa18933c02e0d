"""Asks by the standard health protocol of gRPC (grpc.health.v1), through the library that defines it.

The library costs some 16 MB, so it is imported when the first such check runs. It is asked from a thread: its own event loop
would stay for ever, and a thread ends with the question.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pillion.health.result import Result, Verdict, clip

if TYPE_CHECKING:
    from pillion.health.check import Grpc

MISSING = (
    "cannot ask by gRPC: the packages grpcio and grpcio-health-checking are not installed; "
    "install pillion[grpc]"
)
_METHOD = "/grpc.health.v1.Health/Check"


async def ask(target: Grpc, timeout_s: float) -> Result:
    """One question of at most `timeout_s` seconds, without TLS; SERVING passes."""
    return await asyncio.to_thread(_ask, target, timeout_s)


def _ask(target: Grpc, timeout_s: float) -> Result:
    # Our own children are other programs: the library need not be carried over a fork, and must not write to stderr.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import grpc
        from grpc_health.v1 import health_pb2
    except ImportError:
        return Result(Verdict.FAIL, MISSING)
    channel = grpc.insecure_channel(target.address, [("grpc.enable_http_proxy", 0)])
    call = channel.unary_unary(
        _METHOD,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        answer = call(health_pb2.HealthCheckRequest(service=target.service), timeout=timeout_s)
    except grpc.RpcError as error:
        return Result(Verdict.FAIL, clip(f"{error.code().name}: {error.details()}"))
    finally:
        channel.close()
    statuses = health_pb2.HealthCheckResponse.ServingStatus
    known = answer.status in statuses.values()
    name = statuses.Name(answer.status) if known else f"status {answer.status}"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return Result(Verdict.PASS if serving else Verdict.FAIL, name)
