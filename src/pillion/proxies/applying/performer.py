"""The hands of a proxy's manager: each action of `applying` is carried out, and what came of it is the next event. Nothing is decided here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from pillion.errors import PillionError
from pillion.proxies.applying import running
from pillion.proxies.applying.guard import NOBODY, Refuse, decide
from pillion.proxies.applying.memory import Memory
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
from pillion.proxies.applying.whole import whole
from pillion.proxies.files.candidate import WHAT, clear, write_candidate
from pillion.proxies.files.foreign import current
from pillion.proxies.files.moving import applied, move, recover, take_back
from pillion.proxies.files.outline import rendered_of
from pillion.proxies.files.site import FilesError
from pillion.proxies.templating.making import make
from pillion.proxies.templating.rendered import Rendered, RenderedFile
from pillion.proxies.templating.sources import SourceError

if TYPE_CHECKING:
    from pillion.proxies.applying.guard import Held
    from pillion.proxies.applying.steps import Action, Happening, Record
    from pillion.proxies.applying.world import World
    from pillion.proxies.driver import Verdict
    from pillion.proxies.templating.facts import Facts
    from pillion.proxies.templating.making import Made
    from pillion.proxies.templating.references import Reference


class Performer:
    """Carries out actions, one at a time. `live` is the rendering that is in place, `candidate` the one on its way or refused last, `facts` what it was made with."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.live: Rendered | None = None
        self.candidate: Rendered | None = None
        self.used: frozenset[Reference] = frozenset()
        self.facts: Facts | None = None
        self.old_workers = 0
        self._held: Held = NOBODY
        # A set of templates is rendered once at a time.
        self._making = asyncio.Lock()
        self.memory = Memory(world.site, world.settings.history)
        self._secrets: dict[str, str] = {}

    def renew(self, world: World) -> None:
        """Take over other settings."""
        self.world = world
        self.memory.renew(world.site, world.settings.history)

    async def recover(self) -> Recovered:
        """Finish what a predecessor has begun, and say what there is. Raises `FilesError`."""
        site = self.world.site
        standing = await whole(recover, site)
        outline = await self.memory.find(standing.live)
        if outline is not None:
            texts = await whole(current, site, outline.files)
            self.used = frozenset(outline.used)
            await self._read_secrets()
            self.live = rendered_of(outline, texts, frozenset(self._secrets.values()))
            self.memory.pinned = outline.pinned
        if standing.unfinished:
            unfinished = await self.memory.find(standing.unfinished)
            if unfinished is not None:
                texts = await whole(current, site, unfinished.files)
                self.used = frozenset(unfinished.used)
                await self._read_secrets()
                self.candidate = rendered_of(unfinished, texts, frozenset(self._secrets.values()))
        status = await self.world.driver.status()
        return Recovered(
            standing.live,
            standing.unfinished,
            status.running,
            self.memory.pinned,
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
                loaded = await self.world.driver.load()
                return _event(running.said(loaded, self.candidate), Loaded())
            case Prove(version):
                rendered = self.candidate if self.candidate is not None else self.live
                return _event(await running.prove(self.world, rendered, version), Proved())
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
            files = await whole(self.memory.history.read, version, self._secrets)
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
            last = await whole(applied, self.world.site)
            dropped = () if last is None else tuple(last.digests.keys() - texts.keys())
            written = await whole(
                write_candidate, self.world.site, rendered.files[0].name, texts, dropped
            )
        except FilesError as error:
            return Failed(f"{error}", error.passing)
        self._written = written
        checked = await self.world.driver.check(written.directory)
        verdict = running.said(checked, rendered)
        if not verdict.ok:
            # What was refused is in the history, without its secrets.
            with contextlib.suppress(OSError):
                await whole(clear, self.world.site, WHAT)
        return _event(verdict, Checked())

    async def _move(self) -> Happening:
        rendered = self._new
        previous = "" if self.live is None else self.live.version
        try:
            await self.memory.begin(rendered, self.used)
            await whole(
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

    # What is remembered.

    async def pin(self, pinned: str) -> None:
        """Remember which version was chosen by hand; "" for none."""
        if pinned != self.memory.pinned:
            self.memory.pinned = pinned
            await self.remember()

    async def settle(self, record: Record, pinned: str) -> None:
        """The candidate is what serves from now on, or was refused: remember that."""
        rendered = self.candidate
        theirs = rendered is not None and rendered.version == record.version
        good = record.outcome in ("applied", "changed")
        if good and theirs:
            self.live = rendered
        files = _texts(rendered) if rendered is not None and theirs else {}
        await self.memory.note(record, files, self._secrets)
        if good:
            self.memory.pinned = pinned
            await self.remember()

    async def remember(self) -> None:
        """Note that the version in place is the last good one."""
        if self.live is not None:
            await self.memory.keep(self.live, self.used)

    # The process.

    async def _return(self, version: str) -> Happening:
        """Back to the last good version."""
        rejected, self.candidate = self.candidate, self.live
        spare = {} if self.live is None else _texts(self.live)
        try:
            await whole(take_back, self.world.site, spare)
        except FilesError as error:
            self.candidate = rejected
            return Returned(False, f"{error}")
        try:
            if not version:
                await self.world.stop()
                return Returned(False, "there is no version before it")
            proved = await running.load(self.world, self.candidate, version)
        except PillionError as error:
            return Returned(False, f"{error}")
        finally:
            self.candidate = rejected
        return Returned(proved.ok, proved.reason)

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
        """See `running.drift`."""
        return await running.drift(self.world, self.live)

    async def _unlevel(self) -> Happening:
        assert self.live is not None, "only what serves is changed at run time"
        level = await self.world.driver.bring_level(self._new, self.live)
        try:
            await whole(take_back, self.world.site, _texts(self.live))
        except FilesError as error:
            return Returned(False, f"{error}")
        if level.done:
            return Returned(True)
        proved = await running.load(self.world, self.live, self.live.version)
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
        proved = await running.load(self.world, self.live, self.live.version)
        if proved.ok:
            await self.remember()
        return Returned(proved.ok, proved.reason)

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


def _event(verdict: Verdict, good: Happening) -> Happening:
    return good if verdict.ok else Failed(verdict.reason or verdict.output, verdict.passing)


def _texts(rendered: Rendered) -> dict[str, str]:
    return {one.name: one.text for one in rendered.files}
