"""From settings to sinks: what `pillion.toml` says about logs and telemetry, as objects that ship."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from pillion import __version__
from pillion.errors import PillionError
from pillion.keeper.places import SETTINGS_FILE
from pillion.keeper.streams import SPANS
from pillion.logs.followed import FollowedFiles
from pillion.logs.multiline import Joiner
from pillion.logs.otlp import OtlpSink
from pillion.logs.otlp_traces import TraceSink
from pillion.logs.positions import Positions
from pillion.logs.recognise import Recogniser
from pillion.logs.rotating import FileSink, RotatingFile
from pillion.logs.runs import run_info
from pillion.logs.shipping import Limits, Shipping
from pillion.processes.shipper_post import TRACES_PATH, receiver
from pillion.settings import Settings, SettingsError, from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from pillion.logs.delivery import Tell
    from pillion.logs.sinks import Sink
    from pillion.logs.waker import Waker
    from pillion.model.place import Place

# Lines of these are the app's; events and the sidecar's own output are one record each.
# What is posted comes in whole records.
_JOINED_STREAMS = ("stdout", "stderr")


def read_settings(place: Place) -> Settings:
    """The settings in force, from the instance's settings.json; `PillionError` when they cannot be read."""
    path = place.runtime(SETTINGS_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return from_json(file.read())
    except (OSError, SettingsError) as error:
        raise PillionError(
            f"cannot read {path}: {error}; restart the instance to have it written anew"
        ) from error


def build_shippings(
    place: Place,
    settings: Settings,
    waker: Waker,
    executor: Executor,
    tell: Tell,
    passed_over: Callable[[str], None],
) -> list[Shipping]:
    """Return one shipping for each sink that the settings name for log records; none when they name none.

    `passed_over` is told of streams that hold none. Raises `PillionError` when a header's file cannot be read.
    """
    logs = settings.logs
    parse = logs.parse

    def followed() -> FollowedFiles | None:
        if not logs.files:
            return None
        return FollowedFiles(
            logs.files,
            place.run,
            cap_bytes=logs.line_cap_bytes,
            joiner=lambda: _joiner(settings),
        )

    return [
        Shipping(
            sink,
            Positions(place.state_dir, sink.name),
            state_dir=place.state_dir,
            run=place.run,
            waker=waker,
            executor=executor,
            resource=_resources(place, settings),
            tell=tell,
            age_limit_s=logs.spool.age_s,
            limits=_limits(settings),
            joiner=lambda stream: _joiner(settings) if stream in _JOINED_STREAMS else None,
            recogniser=Recogniser(json=parse.json, level=parse.level, time=parse.time),
            files=followed(),
            selects=lambda stream: stream != SPANS,
            passed_over=passed_over,
        )
        for sink in _sinks(settings, executor)
    ]


def build_trace_shipping(
    place: Place, settings: Settings, waker: Waker, executor: Executor, tell: Tell
) -> Shipping | None:
    """Return the shipping of spans, None without an OTLP receiver. Raises `PillionError` like `build_shippings`."""
    telemetry = settings.telemetry
    if telemetry.otlp is None:
        return None
    target = receiver(
        telemetry.otlp, TRACES_PATH, ca_file=telemetry.ca_file, timeout_s=telemetry.timeout_s
    )
    sink = TraceSink(
        target.post,
        json=telemetry.protocol == "http/json",
        gzip=telemetry.compression == "gzip",
        headers=_headers(telemetry.headers),
        timeout_s=telemetry.timeout_s,
        close=target.close,
    )
    return Shipping(
        sink,
        Positions(place.state_dir, sink.name),
        state_dir=place.state_dir,
        run=place.run,
        waker=waker,
        executor=executor,
        resource=_resources(place, settings),
        tell=tell,
        age_limit_s=settings.logs.spool.age_s,
        limits=_limits(settings),
        selects=lambda stream: stream == SPANS,
    )


def _limits(settings: Settings) -> Limits:
    batch = settings.telemetry.batch
    return Limits(
        batch_bytes=batch.size_bytes,
        batch_records=batch.records,
        wait_s=batch.wait_s,
        line_bytes=settings.logs.line_cap_bytes,
    )


def _sinks(settings: Settings, executor: Executor) -> list[Sink]:
    telemetry, file = settings.telemetry, settings.logs.file
    sinks: list[Sink] = []
    if telemetry.otlp is not None:
        target = receiver(telemetry.otlp, ca_file=telemetry.ca_file, timeout_s=telemetry.timeout_s)
        sinks.append(
            OtlpSink(
                target.post,
                json=telemetry.protocol == "http/json",
                gzip=telemetry.compression == "gzip",
                headers=_headers(telemetry.headers),
                timeout_s=telemetry.timeout_s,
                close=target.close,
            )
        )
    if file is not None:
        rotating = RotatingFile(file.path, size_bytes=file.size_bytes, keep=file.keep)
        sinks.append(FileSink(rotating, executor))
    return sinks


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Header values, with those that begin with `file:` read from their file."""
    found = {}
    for name, value in headers.items():
        if value.startswith("file:"):
            path = value.removeprefix("file:")
            try:
                with open(path, encoding="utf-8") as file:
                    value = file.read(1 << 16).strip()
            except (OSError, UnicodeDecodeError) as error:
                raise PillionError(
                    f"cannot read the header {name} from {path}: {error}; set telemetry.headers"
                ) from error
        found[name.lower()] = value
    return found


def _joiner(settings: Settings) -> Joiner | None:
    multiline = settings.logs.multiline
    if multiline is None:
        return None
    try:
        return Joiner(
            multiline.pattern,
            starts=multiline.match == "start",
            max_lines=multiline.lines,
            max_bytes=settings.logs.line_cap_bytes,
            timeout_s=multiline.timeout_s,
        )
    except re.error as error:
        raise PillionError(
            f"cannot use logs.multiline.pattern for bytes: {error}; write it without \\u escapes"
        ) from error


def _resources(place: Place, settings: Settings) -> Callable[[str], Mapping[str, object]]:
    """Resource attributes by run: OpenTelemetry's semantic conventions for service, host and process."""
    known: dict[str, dict[str, object]] = {}

    def of_run(run: str) -> Mapping[str, object]:
        found = known.get(run)
        if found is None:
            info = run_info(place.state_dir, run)
            found = {
                "service.name": info.service or settings.app.name or place.instance,
                "service.instance.id": f"{place.instance}/{run}",
                "host.name": info.host or os.uname().nodename,
                "telemetry.distro.name": "pillion",
                "telemetry.distro.version": __version__,
            }
            if info.command:
                # Its arguments may hold secrets, which have no place in telemetry.
                found["process.executable.name"] = os.path.basename(info.command[0])
            found.update(settings.telemetry.resource)
            if len(known) > 64:
                known.clear()
            known[run] = found
        return found

    return of_run
