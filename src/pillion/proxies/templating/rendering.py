"""One rendering, from values to files: what the templates ask for, write, and where they fail, in words that name their line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.environment import Template
from jinja2.exceptions import SecurityError

from pillion.proxies.templating import filters_haproxy, filters_nginx
from pillion.proxies.templating.engine import Code, Engine, LimitError, Loader
from pillion.proxies.templating.filters import UnwritableError
from pillion.proxies.templating.functions import Asking, Lazy, Live, Pending
from pillion.proxies.templating.functions_haproxy import HaproxyFunctions
from pillion.proxies.templating.functions_nginx import NginxFunctions
from pillion.proxies.templating.lines import Text, with_lines
from pillion.proxies.templating.rendered import (
    VERSION_PLACE,
    Missing,
    Rendered,
    RenderedFile,
    RenderError,
    versioned,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from pillion.proxies.templating.facts import Facts
    from pillion.proxies.templating.references import Reference
    from pillion.proxies.templating.rendered import Origin
    from pillion.proxies.templating.templates import Templates

_MESSAGE_CHARACTERS = 500
# So many characters in a row are a part of a secret, and no accident.
_TELLING = 4


class Rendering:
    """`end_s` is when it gives up, by `clock_s`."""

    def __init__(
        self,
        templates: Templates,
        values: Mapping[Reference, object],
        facts: Facts,
        clock_s: Callable[[], float],
        end_s: float,
    ) -> None:
        self._templates = templates
        self._facts = facts
        self._clock_s = clock_s
        self._end_s = end_s
        self._asking = Asking(values)
        if facts.kind == "nginx":
            self._functions: NginxFunctions | HaproxyFunctions = NginxFunctions(facts, self._asking)
            filters, self._bare_text = _NGINX, filters_nginx.bare
        else:
            self._functions = HaproxyFunctions(facts, self._asking)
            filters, self._bare_text = _HAPROXY, filters_haproxy.bare
        templates.code = templates.code or Code()
        self._loader = Loader(templates.code, facts.kind)
        self._engine = Engine(self._loader, filters, self._bare, self._ends)
        # Of the engine rather than of each template, so that imported macros have them too.
        self._engine.globals.update(self._table())

    def result(self) -> Rendered | Missing:
        """What comes of it; raises `RenderError`."""
        made: dict[str, tuple[str, tuple[Origin, ...]]] = {}
        for name, path in self._templates.paths.items():
            try:
                template = self._engine.get_template(path)
                context = template.new_context()
                chunks = [
                    one if isinstance(one, Text) else self._engine.written(path, 0, one)
                    for one in template.root_render_func(context)
                ]
                made[name] = with_lines(chunks)
            except Exception as error:  # noqa: BLE001 # a template can raise whatever Python can
                # While something is missing, what goes wrong may do so for that reason.
                if not self._asking.missing or isinstance(error, LimitError):
                    raise self._failed(path, error) from None
        if self._asking.missing:
            asking = self._asking
            return Missing(
                frozenset(asking.missing), frozenset(asking.used), frozenset(self._loader.read)
            )
        self._check_proof()
        return self._rendered(made)

    def _rendered(self, made: Mapping[str, tuple[str, tuple[Origin, ...]]]) -> Rendered:
        version, files = versioned({name: text for name, (text, _) in made.items()})
        shown = self._templates.shown
        return Rendered(
            version=version,
            files=tuple(
                RenderedFile(
                    name, files[name], tuple((shown(path), line) for path, line in origins)
                )
                for name, (_, origins) in made.items()
            ),
            used=frozenset(self._asking.used),
            templates=frozenset(self._loader.read),
            members=self._asking.members,
            holdings=self._asking.holdings,
            functions=frozenset(self._functions.called),
            secrets=frozenset(self._asking.secrets),
        )

    def _check_proof(self) -> None:
        if not self._facts.proves or "proof" in self._functions.called:
            return
        main = self._templates.shown(next(iter(self._templates.paths.values())))
        where = "inside of http" if self._facts.kind == "nginx" else "outside of every section"
        raise self._error(
            f"{main} does not call proof(), so that nobody could tell which version serves; put {{{{ proof() }}}} {where}, or set prove = false"
        )

    def _table(self) -> dict[str, object]:
        facts, asking = self._facts, self._asking
        app: dict[str, object] = {
            "name": facts.service,
            "instance": facts.instance,
            "ready": facts.ready,
        }
        if facts.app_port:
            app["port"] = facts.app_port
        return {
            "config": asking.config,
            "tree": asking.tree,
            "service": asking.service,
            "file": asking.file,
            "secret": asking.secret,
            "environment": Lazy(lambda: asking.value("environment")),
            "health": Lazy(lambda: asking.value("health")),
            "values": Live(self._templates.values, asking),
            "app": app,
            "proxy": {
                "name": facts.name,
                "kind": facts.kind,
                "as_root": facts.as_root,
            },
            "listeners": dict(facts.listeners),
            "directory": facts.directory,
            "runtime_dir": facts.runtime_dir,
            "state_dir": facts.state_dir,
            "version": Text(VERSION_PLACE),
            **self._functions.table(),
        }

    def _bare(self, value: object) -> str:
        return "0" if isinstance(value, Pending) else self._bare_text(value)

    def _ends(self) -> None:
        if self._clock_s() > self._end_s:
            raise LimitError("it takes too long; a loop in it has no end, or too many turns")

    def _failed(self, path: str, error: Exception) -> RenderError:
        """What went wrong, with the template and the line where it did."""
        if isinstance(error, TemplateSyntaxError):
            return self._at(error.name or path, error.lineno, error.message or "")
        template, line = _place(error.__traceback__) or (path, 0)
        return self._at(template, line, _words(error))

    def _at(self, template: str, line: int, words: str) -> RenderError:
        shown = self._templates.shown(template)
        if any(_shows(words, secret) for secret in self._asking.secrets):
            words = "a value with a secret in it cannot be written here; write |quote, or the filter for what it is"
        return self._error(f"{shown} line {line}: {words}" if line else f"{shown}: {words}")

    def _error(self, text: str) -> RenderError:
        return RenderError(
            f"cannot render {self._facts.name}: {text[:_MESSAGE_CHARACTERS]}",
            used=self._asking.used,
            templates=self._loader.read,
        )


def _shows(text: str, secret: str) -> bool:
    """Whether a part of `secret` that somebody could make use of stands in `text`."""
    if len(secret) <= _TELLING:
        return bool(secret) and secret in text
    return any(secret[at : at + _TELLING] in text for at in range(len(secret) - _TELLING + 1))


def _waiting(filters: Mapping[str, Callable[..., object]]) -> dict[str, Callable[..., object]]:
    """The filters, which let pass what has still to be fetched, so that the template goes on and names what else it needs."""

    def waits(made: Callable[..., object]) -> Callable[..., object]:
        def filtered(value: object, *args: object, **options: object) -> object:
            return value if isinstance(value, Pending) else made(value, *args, **options)

        return filtered

    return {name: waits(made) for name, made in filters.items()}


_NGINX = _waiting(filters_nginx.FILTERS)
_HAPROXY = _waiting(filters_haproxy.FILTERS)


def _place(traceback: TracebackType | None) -> Origin | None:
    """The innermost line of a template in a traceback."""
    found = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template) and template.filename:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
            found = (template.filename, line)
        traceback = traceback.tb_next
    return found


def _words(error: Exception) -> str:
    match error:
        case TemplateNotFound():
            return error.message or f"there is no template {error.name}"
        case (
            UnwritableError() | UndefinedError() | LimitError() | SecurityError() | TemplateError()
        ):
            return str(error)
        case RecursionError():
            return "a macro or an include calls itself without end"
        case MemoryError():
            return "there is not enough memory for what it makes"
        case _:
            return f"{error} ({type(error).__name__})"
