"""The hands of a proxy's manager: each action of `applying` is carried out, and what came of it is the next event. Nothing is decided here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, runtime_checkable

import msgspec

from pillion.errors import PillionError
from pillion.proxies.applying.guard import NOBODY, Refuse, decide
from pillion.proxies.applying.steps import (
    Candidate,
    Check,
    Checked,
    Failed,
    Level,
    Levelled,
    Load,
    Loaded,
    Mend,
    Move,
    Moved,
    NotLevelled,
    Prove,
    Proved,
    Recall,
    Recovered,
    Render,
    Restore,
    Return,
    Returned,
    Unlevel,
)
from pillion.proxies.driver import Verdict
from pillion.proxies.files.candidate import WHAT, clear, write_candidate
from pillion.proxies.files.foreign import current
from pillion.proxies.files.history import History
from pillion.proxies.files.moving import applied, finish, move, recover, take_back
from pillion.proxies.files.outline import Outlines, outline_of, rendered_of
from pillion.proxies.files.site import FilesError
from pillion.proxies.templating.making import make
from pillion.proxies.templating.rendered import Rendered, RenderedFile, explain
from pillion.proxies.templating.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pillion.proxies.applying.guard import Held
    from pillion.proxies.applying.steps import Action, Happening, Record
    from pillion.proxies.driver import Driver
    from pillion.proxies.files.site import Site
    from pillion.proxies.templating.facts import Facts
    from pillion.proxies.templating.making import Made, Renderer
    from pillion.proxies.templating.references import Reference
    from pillion.proxies.templating.sources import Sources
    from pillion.settings.proxies import ManagedProxy

_P = ParamSpec("_P")
_T = TypeVar("_T")

# A process that cannot be proved is looked for so often, since nobody tells that it has come.
_LOOK_S = 0.05


@runtime_checkable
class Drifting(Protocol):
    """A driver whose process can come to differ from its file."""

    async def drift(self, rendered: Rendered) -> str:
        """In what it does, in words; empty for nothing."""


class World(msgspec.Struct, frozen=True):
    """What one proxy is managed with. `stop` has the keeper end a proxy that has never had a good version; `clock` is monotonic, in seconds."""

    settings: ManagedProxy
    site: Site
    driver: Driver
    sources: Sources
    render: Renderer
    facts: Callable[[], Facts]
    stop: Callable[[], Awaitable[None]]
    clock: Callable[[], float]


class Performer:
    """Carries out actions, one at a time. `live` is the rendering that is in place, `candidate` the one on its way or refused last, `facts` what it was made with."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.live: Rendered | None = None
        self.candidate: Rendered | None = None
        self.used: frozenset[Reference] = frozenset()
        self.facts: Facts | None = None
        self.old_workers = 0
        self.failures = 0
        self._pinned = ""
        self._held: Held = NOBODY
        # A set of templates is rendered once at a time.
        self._making = asyncio.Lock()
        self._outlines = Outlines(world.site.state)
        self.history = History(world.site.history, world.settings.history)
        self._secrets: dict[str, str] = {}

    def renew(self, world: World) -> None:
        """Take over other settings."""
        self.world = world
        self.history = History(world.site.history, world.settings.history)

    async def recover(self) -> Recovered:
        """Finish what a predecessor has begun, and say what there is. Raises `FilesError`."""
        site = self.world.site
        standing = await _whole(recover, site)
        outline = await _whole(self._outlines.find, standing.live)
        if outline is not None:
            texts = await _whole(current, site, outline.files)
            self.used = frozenset(outline.used)
            await self._read_secrets()
            self.live = rendered_of(outline, texts, frozenset(self._secrets.values()))
            self._pinned = outline.pinned
        if standing.unfinished:
            unfinished = await _whole(self._outlines.find, standing.unfinished)
            if unfinished is not None:
                texts = await _whole(current, site, unfinished.files)
                self.used = frozenset(unfinished.used)
                await self._read_secrets()
                self.candidate = rendered_of(unfinished, texts, frozenset(self._secrets.values()))
        status = await self.world.driver.status()
        return Recovered(
            standing.live,
            standing.unfinished,
            status.running,
            self._pinned,
        )

    async def _read_secrets(self) -> None:
        """The values that no message may show: what the proxy says of files that a predecessor wrote can quote them."""
        for one in self.used:
            if one.kind != "secret":
                continue
            with contextlib.suppress(SourceError):
                value = (await self.world.sources.fetch([one]))[one]
                if isinstance(value, str):
                    self._secrets[one.name] = value

    async def perform(self, action: Action) -> Happening:
        """Do what takes time, and return what came of it."""
        match action:
            case Render(forced):
                return await self._render(forced=forced)
            case Recall(version):
                return await self._recall(version)
            case Check():
                return await self._check()
            case Move():
                return await self._move()
            case Load():
                return _event(self._said(await self.world.driver.load()), Loaded())
            case Prove(version):
                return _event(await self._prove(version), Proved())
            case Return(version):
                return await self._return(version)
            case Level():
                return await self._level()
            case Unlevel():
                return await self._unlevel()
            case Mend():
                return await self._mend()
            case Restore():
                return await self._restore()
            case _:
                raise AssertionError(action)

    # Rendering.

    async def make(self) -> Made:
        """Render with the values of now, without any effect."""
        world = self.world
        async with self._making:
            return await make(world.render, world.sources, world.facts(), self.used)

    async def _render(self, *, forced: bool) -> Happening:
        self.facts = facts = self.world.facts()
        async with self._making:
            made = await make(self.world.render, self.world.sources, facts, self.used)
        self.used = made.used
        self.candidate = made.rendered
        if made.rendered is None:
            return Failed(made.words, made.passing)
        self._secrets = made.secrets
        before = self.live
        if forced or before is None:
            self._held = NOBODY
        else:
            answer = decide(
                self.world.settings.guard,
                before.holdings,
                made.rendered.holdings,
                self.world.clock(),
                self._held,
            )
            if isinstance(answer, Refuse):
                self._held = answer.held
                return Candidate(made.rendered.version, answer.reason, answer.until_s)
            self._held = NOBODY
        reloads = before is None or before.version != made.rendered.version
        # Where it may be changed at run time, nobody has to be asked first.
        crowded = reloads and not self._levels and await self._crowded()
        return Candidate(made.rendered.version, crowded=crowded)

    async def _recall(self, version: str) -> Happening:
        """An earlier version, with the secrets of now."""
        if self.live is not None and self.live.version == version:
            self.candidate = self.live
            return Candidate(version)
        try:
            files = await _whole(self.history.read, version, self._secrets)
        except FilesError as error:
            return Failed(f"{error}", error.passing)
        main = self.world.settings.main_file
        if files is None or main not in files:
            return Failed(
                f"cannot find version {version} in the history; see `pillion proxy history`"
            )
        names = (main, *sorted(files.keys() - {main}))
        self.candidate = Rendered(
            version=version,
            files=tuple(RenderedFile(name, files[name]) for name in names),
            functions=frozenset({"proof"}) if self._proves else frozenset(),
            secrets=frozenset(self._secrets.values()),
        )
        return Candidate(version)

    # Files.

    async def _check(self) -> Happening:
        rendered = self._new
        texts = _texts(rendered)
        try:
            last = await _whole(applied, self.world.site)
            dropped = () if last is None else tuple(last.digests.keys() - texts.keys())
            written = await _whole(
                write_candidate, self.world.site, rendered.files[0].name, texts, dropped
            )
        except FilesError as error:
            return Failed(f"{error}", error.passing)
        self._written = written
        verdict = self._said(await self.world.driver.check(written.directory))
        if not verdict.ok:
            # What was refused is in the history, without its secrets.
            with contextlib.suppress(OSError):
                await _whole(clear, self.world.site, WHAT)
        return _event(verdict, Checked())

    async def _move(self) -> Happening:
        rendered = self._new
        previous = "" if self.live is None else self.live.version
        try:
            outline = outline_of(rendered, self.used, at_s=time.time())
            await _whole(self._outlines.begin, outline)
            await _whole(
                move, self.world.site, self._written, rendered.version, previous, time.time()
            )
        except FilesError as error:
            return Failed(f"{error}", error.passing)
        except OSError as error:
            return Failed(
                f"cannot note what is about to be done with {self.world.settings.name}: {error.strerror}; "
                "make room, then it goes on",
                passing=True,
            )
        return Moved()

    async def pin(self, pinned: str) -> None:
        """Remember which version was chosen by hand; "" for none."""
        if pinned != self._pinned:
            self._pinned = pinned
            await self.remember()

    async def settle(self, record: Record, pinned: str) -> None:
        """The candidate is what serves from now on, or was refused: remember that."""
        rendered = self.candidate
        good = record.outcome in ("applied", "changed")
        if good and rendered is not None and rendered.version == record.version:
            self.live = rendered
        await self._note(record)
        if good:
            self._pinned = pinned
            await self.remember()

    async def remember(self) -> None:
        """Note that the version in place is the last good one."""
        if self.live is None:
            return
        outline = outline_of(self.live, self.used, pinned=self._pinned, at_s=time.time())
        try:
            await _whole(self._outlines.finish, outline)
            await _whole(finish, self.world.site)
        except (FilesError, OSError):
            # It serves; a next agent would prove it once more.
            self.failures += 1

    async def _note(self, record: Record) -> None:
        rendered = self.candidate
        files: Mapping[str, str] = {}
        if rendered is not None and rendered.version == record.version:
            files = _texts(rendered)
        try:
            await _whole(
                lambda: self.history.record(
                    record.version,
                    record.reason,
                    record.outcome,
                    files,
                    at_s=time.time(),
                    previous=record.previous,
                    took_ms=round(record.took_s * 1000, 1),
                    waited_ms=round(record.waited_s * 1000, 1),
                    changes=record.changes,
                    secrets=self._secrets,
                )
            )
        except FilesError:
            self.failures += 1

    # The process.

    async def _prove(self, version: str) -> Verdict:
        rendered = self.candidate if self.candidate is not None else self.live
        settings = self.world.settings
        if not self._proves or rendered is None or "proof" in rendered.functions:
            # Where no version is asked for, the driver sees by other means whether the load has failed.
            return self._said(await self.world.driver.prove(version, settings.prove_timeout_s))
        # Nothing says which version it is: that it runs is all that can be known.
        deadline_s = self.world.clock() + settings.prove_timeout_s
        while not (await self.world.driver.status()).running:
            if self.world.clock() >= deadline_s:
                return Verdict(False, f"{settings.name} does not run", passing=True)
            await asyncio.sleep(_LOOK_S)
        return Verdict(True)

    async def _return(self, version: str) -> Happening:
        """Back to the last good version."""
        rejected, self.candidate = self.candidate, self.live
        spare = {} if self.live is None else _texts(self.live)
        try:
            await _whole(take_back, self.world.site, spare)
        except FilesError as error:
            self.candidate = rejected
            return Returned(False, f"{error}")
        try:
            if not version:
                await self.world.stop()
                return Returned(False, "there is no version before it")
            loaded = await self.world.driver.load()
            proved = await self._prove(version) if loaded.ok else loaded
        except PillionError as error:
            return Returned(False, f"{error}")
        finally:
            self.candidate = rejected
        return Returned(proved.ok, self._said(proved).reason)

    async def _level(self) -> Happening:
        if self.live is None:
            return NotLevelled("nothing is known of what runs")
        level = await self.world.driver.bring_level(self.live, self._new)
        if level.done:
            return Levelled(level.changes)
        return NotLevelled(level.why, await self._crowded())

    async def _crowded(self) -> bool:
        """Whether as many loads as there may be have workers left."""
        status = await self.world.driver.status()
        self.old_workers = status.old_workers
        return status.old_loads >= self.world.settings.old_workers

    async def drift(self) -> str:
        """In what the process differs from its file, in words; empty when in nothing, or when it cannot be said."""
        driver = self.world.driver
        if self.live is None or not isinstance(driver, Drifting):
            return ""
        return await driver.drift(self.live)

    async def _unlevel(self) -> Happening:
        assert self.live is not None, "only what serves is changed at run time"
        level = await self.world.driver.bring_level(self._new, self.live)
        try:
            await _whole(take_back, self.world.site, _texts(self.live))
        except FilesError as error:
            return Returned(False, f"{error}")
        if level.done:
            return Returned(True)
        loaded = await self.world.driver.load()
        proved = await self._prove(self.live.version) if loaded.ok else loaded
        return Returned(proved.ok, proved.reason)

    async def _mend(self) -> Happening:
        assert self.live is not None, "only what serves can drift"
        level = await self.world.driver.bring_level(self.live, self.live)
        return Levelled(level.changes) if level.done else NotLevelled(level.why)

    async def _restore(self) -> Happening:
        """What somebody else has written gives way to the last good version."""
        assert self.live is not None, "only what was applied can be edited"
        self.candidate = self.live
        for step in (self._check, self._move):
            happened = await step()
            if isinstance(happened, Failed):
                return Returned(False, happened.words)
        loaded = await self.world.driver.load()
        proved = await self._prove(self.live.version) if loaded.ok else loaded
        if proved.ok:
            await self.remember()
        return Returned(proved.ok, self._said(proved).reason)

    @property
    def _levels(self) -> bool:
        settings = self.world.settings
        return settings.kind == "haproxy" and settings.runtime_changes

    @property
    def _proves(self) -> bool:
        return self.world.settings.prove

    @property
    def _new(self) -> Rendered:
        assert self.candidate is not None, "it was rendered before"
        return self.candidate

    def _said(self, verdict: Verdict) -> Verdict:
        """The verdict with the lines of the templates in its reason, and no secret in it."""
        rendered = self.candidate
        if verdict.ok or rendered is None:
            return verdict
        words = [explain(rendered, one.file, one.line, one.message) for one in verdict.places]
        reason = "; ".join(words) or rendered.masked(verdict.reason)
        return msgspec.structs.replace(verdict, reason=reason)


def _event(verdict: Verdict, good: Happening) -> Happening:
    return good if verdict.ok else Failed(verdict.reason or verdict.output, verdict.passing)


def _texts(rendered: Rendered) -> dict[str, str]:
    return {one.name: one.text for one in rendered.files}


async def _whole(work: Callable[_P, _T], *args: _P.args, **named: _P.kwargs) -> _T:
    """Run `work` in a thread to its end, also when this is cancelled: the next agent begins where it has ended."""
    future = asyncio.ensure_future(asyncio.to_thread(work, *args, **named))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        raise
