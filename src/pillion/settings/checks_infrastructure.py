"""What the sections for configuration, health, secrets and the watchdog say together."""

from pillion.settings.config import ConfigFile, format_by_ending
from pillion.settings.health import CHECK_SORTS, Check
from pillion.settings.problems import Finding, Path
from pillion.settings.secrets import SECRET_SOURCES
from pillion.settings.tree import Settings

_HTTP_ONLY = ("method", "headers", "status")


def infrastructure_contradictions(settings: Settings) -> list[Finding]:
    """Settings of these sections that cannot hold together."""
    return [
        *_watchdog(settings),
        *_files(settings),
        *_variables(settings),
        *_checks(settings),
        *_secrets(settings),
    ]


def infrastructure_notices(settings: Settings) -> list[Finding]:
    """Settings of these sections that few would want."""
    found = []
    for name, check in settings.health.checks.items():
        path = ("health", "checks", name)
        if check.http is None:
            found += [
                Finding((*path, one), "without effect: this is no http check")
                for one in _HTTP_ONLY
                if getattr(check, one) != getattr(Check(), one)
            ]
        if check.ttl_s is None and check.timeout_s > check.interval_s:
            found.append(
                Finding(
                    (*path, "timeout"),
                    "longer than the interval: while an attempt hangs, the next ones are left out",
                )
            )
    for at, file in enumerate(settings.config.files):
        if file.mode is not None and file.mode & 0o002:
            found.append(Finding(("config", "files", at, "mode"), "every user may write this file"))
    return found


def exactly_one(record: object, names: tuple[str, ...], path: Path) -> list[Finding]:
    """A finding unless exactly one of the members `names` of `record` is given."""
    given = [name for name in names if _is_given(record, name)]
    if len(given) == 1:
        return []
    had = " and ".join(given) if given else "none of them"
    wanted = f"exactly one of {', '.join(names[:-1])} and {names[-1]}"
    return [Finding(path, f"cannot use {had}", wanted)]


def _is_given(record: object, name: str) -> bool:
    held = getattr(record, name, None) if hasattr(record, name) else getattr(record, f"{name}_s")
    return held is not None and held != () and held != ""


def _watchdog(settings: Settings) -> list[Finding]:
    watchdog = settings.app.watchdog
    if watchdog is None or any(
        one is not None
        for one in (
            watchdog.timeout_s,
            watchdog.memory,
            watchdog.descriptors,
            watchdog.progress_s,
        )
    ):
        return []
    return [
        Finding(
            ("app", "watchdog"),
            "cannot watch for none of them",
            "at least one of timeout, memory, descriptors and progress",
        )
    ]


def _files(settings: Settings) -> list[Finding]:
    found = []
    paths: set[str] = set()
    for at, file in enumerate(settings.config.files):
        path = ("config", "files", at)
        found += exactly_one(file, ("key", "prefix"), path)
        found += _format(file, path)
        if file.signal is not None and file.command:
            found.append(
                Finding(path, "cannot use signal and command", "one of signal and command, or none")
            )
        if file.path in paths:
            found.append(
                Finding((*path, "path"), "cannot write one file twice; give it another path")
            )
        paths.add(file.path)
    return found


def _format(file: ConfigFile, path: Path) -> list[Finding]:
    form = file.format or format_by_ending(file.path)
    if not form:
        return [
            Finding(
                path,
                "cannot tell the format by the path's ending",
                "format = one of json, toml, yaml, env and text",
            )
        ]
    if form == "text" and file.prefix:
        return [
            Finding(
                (*path, "prefix"), "cannot write many values as text; use key, or another format"
            )
        ]
    return []


def _variables(settings: Settings) -> list[Finding]:
    return [
        Finding(
            ("config", "env", name), "cannot set it twice; it is in app.env as well, remove one"
        )
        for name in settings.config.env
        if name in settings.app.env
    ]


def _checks(settings: Settings) -> list[Finding]:
    found = []
    for name, check in settings.health.checks.items():
        path = ("health", "checks", name)
        found += exactly_one(check, CHECK_SORTS, path)
        if check.restart and check.kind != "liveness":
            found.append(
                Finding(
                    (*path, "restart"),
                    f'cannot restart the app for a {check.kind} check; set kind = "liveness"',
                )
            )
        if check.http is not None and check.http.startswith("/") and settings.app.port is None:
            found.append(
                Finding(
                    (*path, "http"),
                    "cannot ask a path without app.port; set app.port, or give a whole URL",
                )
            )
        found += [
            Finding((*path, one), "cannot be of use to a ttl check: nothing is attempted")
            for one in ("rise", "fall")
            if check.ttl_s is not None and getattr(check, one) != getattr(Check(), one)
        ]
    return found


def _secrets(settings: Settings) -> list[Finding]:
    found = []
    for name, secret in settings.secrets.items():
        found += exactly_one(secret, SECRET_SOURCES, ("secrets", name))
    return found
