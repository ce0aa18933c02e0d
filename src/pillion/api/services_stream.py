"""Services as server-sent events: what is there, then what changes, and nothing missed by a client that comes back.

event: put        data: an instance       the present state, without ids
event: current    id: 40                  from here on every event has the id that resumes behind it
event: put        id: 41                  data: an instance as it is now, with its revision
event: delete     id: 42                  data: its id, service and revision
event: reset      the client's place is unknown or too old: the present state follows
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from pillion.api.services_view import instance_json, service_summary
from pillion.api.streams import COMMENT, COMMENT_S, event_block, until_closing
from pillion.discovery.feed import PUT, services_after, steps_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pillion.api.context import Context
    from pillion.discovery.feed import Step
    from pillion.discovery.instance import ServiceInstance
    from pillion.discovery.selection import Selection
    from pillion.discovery.services import Services

# So many events go out in one piece.
_PIECE = 256


def service_stream(
    context: Context, services: Services, name: str, selection: Selection, after: int | None
) -> AsyncGenerator[bytes, None]:
    """The instances of `name` and their changes; `after` is the revision that a client resumes from."""
    source = _service(services, name, selection, after)
    return _commented(until_closing(source, context.closing, COMMENT_S))


def services_stream(
    context: Context, services: Services, after: int | None
) -> AsyncGenerator[bytes, None]:
    """Every service with its counts, and their changes."""
    source = _services(services, after)
    return _commented(until_closing(source, context.closing, COMMENT_S))


async def _service(
    services: Services, name: str, selection: Selection, after: int | None
) -> AsyncGenerator[bytes, None]:
    registry = services.registry
    while True:
        steps = None if after is None else steps_after(registry, after, name, selection)
        if steps is None:
            present = selection.select(registry.instances(name), services.zone)
            blocks = _reset(after)
            blocks += [event_block(PUT, instance_json(one)) for one in present]
            after = registry.revision
            blocks.append(_current(after))
        else:
            after = registry.revision
            blocks = [_step_block(step) for step in steps]
        for at in range(0, len(blocks), _PIECE):
            yield b"".join(blocks[at : at + _PIECE])
        after = await services.feed.after(after, name)


async def _services(services: Services, after: int | None) -> AsyncGenerator[bytes, None]:
    registry = services.registry
    while True:
        changed = None if after is None else services_after(registry, after)
        if changed is None:
            blocks = _reset(after)
            blocks += [_summary_block(services, name, None) for name in sorted(registry.names)]
            after = registry.revision
            blocks.append(_current(after))
        else:
            after = registry.revision
            blocks = [_summary_block(services, name, revision) for name, revision in changed]
        for at in range(0, len(blocks), _PIECE):
            yield b"".join(blocks[at : at + _PIECE])
        after = await services.feed.after(after)


def _reset(after: int | None) -> list[bytes]:
    if after is None:
        return []
    return [event_block("reset", b'{"reason":"this place is unknown here, or too old"}')]


def _current(revision: int) -> bytes:
    return event_block("current", b'{"revision":%d}' % revision, str(revision))


def _step_block(step: Step) -> bytes:
    if step.kind == PUT:
        data = _with_revision(instance_json(step.instance), step.revision)
    else:
        data = _deleted(step.instance, step.revision)
    return event_block(step.kind, data, str(step.revision))


def _deleted(instance: ServiceInstance, revision: int) -> bytes:
    return msgspec.json.encode(
        {"id": instance.id, "service": instance.service, "revision": revision}
    )


def _summary_block(services: Services, name: str, revision: int | None) -> bytes:
    summary = service_summary(services.registry, name)
    data = msgspec.json.encode(summary)
    identity = ""
    if revision is not None:
        data, identity = _with_revision(data, revision), str(revision)
    return event_block(PUT if summary.instances else "delete", data, identity)


def _with_revision(data: bytes, revision: int) -> bytes:
    return data[:-1] + b',"revision":%d}' % revision


async def _commented(blocks: AsyncGenerator[bytes | None, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(blocks):
        async for block in blocks:
            yield COMMENT if block is None else block
