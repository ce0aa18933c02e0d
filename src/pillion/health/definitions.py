"""Checks from settings and from requests: one shape and one set of rules for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.errors import RefusedError
from pillion.health.check import Check, Exec, Grpc, Http, Process, Tcp, Ttl
from pillion.settings.addresses import split_address
from pillion.settings.app import App
from pillion.settings.checks import contradictions
from pillion.settings.health import APP_PROCESS
from pillion.settings.problems import dotted
from pillion.settings.reading import validate
from pillion.settings.tree import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.health.check import Probe
    from pillion.settings.health import Check as Wanted


def from_settings(checks: Mapping[str, Wanted], port: int | None) -> dict[str, Check]:
    """The checks of `[health.checks]`; `port` is the app's, None when nobody said."""
    return {name: check_of(name, wanted, port) for name, wanted in checks.items()}


def from_request(name: str, body: Mapping[str, object], port: int | None) -> Check:
    """The check that `body` describes in the words of the settings. Raises `RefusedError` 422 with every problem."""
    settings, findings = validate({"health": {"checks": {name: dict(body)}}})
    if not findings:
        findings = contradictions(Settings(app=App(port=port), health=settings.health))
    if findings:
        problems = []
        for finding in findings:
            where = dotted(finding.path[3:])
            text = f"{where}: {finding.message}" if where else finding.message
            problems.append(f"{text}; expected {finding.expected}" if finding.expected else text)
        detail = f"cannot use this check: {'; '.join(problems)}"
        raise RefusedError(422, "Unprocessable Content", detail)
    return check_of(name, settings.health.checks[name], port)


def check_of(name: str, wanted: Wanted, port: int | None) -> Check:
    """One check, decided."""
    return Check(
        name=name,
        probe=_probe(wanted, port),
        kind=wanted.kind,
        interval_s=wanted.interval_s,
        timeout_s=wanted.timeout_s,
        rise=wanted.rise,
        fall=wanted.fall,
        jitter=wanted.jitter,
        grace_s=wanted.grace_s,
        restart=wanted.restart,
    )


def _probe(wanted: Wanted, port: int | None) -> Probe:
    if wanted.http is not None:
        return Http(
            http_url(wanted.http, port),
            wanted.method,
            tuple(wanted.headers.items()),
            tuple(_range(one) for one in wanted.status),
        )
    if wanted.tcp is not None:
        return Tcp(*split_address(wanted.tcp))
    if wanted.exec:
        return Exec(wanted.exec)
    if wanted.ttl_s is not None:
        return Ttl(wanted.ttl_s)
    if wanted.process is not None:
        return Process(None if wanted.process == APP_PROCESS else wanted.process)
    assert wanted.grpc is not None  # exactly one of them: the settings have been validated
    address, _, service = wanted.grpc.partition("/")
    return Grpc(address, service)


def http_url(target: str, port: int | None) -> str:
    """A URL as it is; a path as one of the app on this host."""
    return target if "://" in target else f"http://127.0.0.1:{port or 80}{target}"


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)
