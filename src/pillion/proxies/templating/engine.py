"""Jinja2 as a proxy's templates need it: strict, sandboxed, bounded in output and time, and every chunk with its line.

Nothing here protects from the author of a template, who may write any configuration anyway. It protects from values: what is
written without a filter has to be one harmless word. This module alone imports Jinja2, and it is imported when a template is rendered.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from jinja2 import BaseLoader, StrictUndefined, TemplateNotFound, nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pillion.proxies.templating.filters import UnwritableError
from pillion.proxies.templating.lines import NOWHERE, Text, joined
from pillion.proxies.templating.shipped import PREFIX, template_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping
    from types import CodeType

    from jinja2.compiler import Frame
    from jinja2.environment import Template

    from pillion.proxies.templating.facts import ProxyKind
    from pillion.proxies.templating.lines import Piece

OUTPUT_BYTES = 16 * 1024 * 1024
_TEMPLATE_BYTES = 4 * 1024 * 1024
_LONGEST_PRODUCT = 1 << 20
_LARGEST_POWER = 64
_MOST_CODES = 256
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_WIDTH = re.compile(r"%[^a-zA-Z%]*(\*|[0-9]{4})")
# What makes something long of something short.
_PADDING = frozenset({"center", "expandtabs", "ljust", "rjust", "zfill"})
# Those that write HTML, that are different each time, or that make something long of something short.
_LEFT_OUT = (
    "center",
    "e",
    "escape",
    "filesizeformat",
    "forceescape",
    "format",
    "pprint",
    "random",
    "safe",
    "striptags",
    "urlize",
    "wordwrap",
    "xmlattr",
)


class LimitError(Exception):
    """Rendering is longer, or takes longer, than anything that ends."""


class Unknown(StrictUndefined):
    """What is not defined, with names that are instead."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name = self._undefined_name
        names = sorted(map(str, self._undefined_obj)) if _is_table(self._undefined_obj) else []
        if names:
            shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            return f"there is no {name} here, but {shown}; set it, or write |default(…)"
        if _is_table(self._undefined_obj):
            return f"there is no {name}, nor anything else here; set it, or write |default(…)"
        return super()._undefined_message


def _is_table(value: object) -> bool:
    return hasattr(value, "keys")


class Code:
    """Compiled templates by path, kept as long as their files are the same, since compiling takes longer than rendering."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[tuple[int, ...], CodeType]] = {}

    def get(self, path: str, compiled: Callable[[str], CodeType]) -> CodeType:
        """The code of the file at `path`; raises `OSError` and `UnicodeDecodeError` for one that cannot be read."""
        with open(path, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
            known = self._codes.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            source = file.read(_TEMPLATE_BYTES + 1)
        if len(source) > _TEMPLATE_BYTES:
            raise LimitError(f"it is longer than {_TEMPLATE_BYTES >> 20} MiB")
        code = compiled(source)
        if len(self._codes) >= _MOST_CODES:
            self._codes.clear()
        self._codes[path] = (stamp, code)
        return code


class Loader(BaseLoader):
    """Templates by path. `read` are those that were, also when they could not be."""

    def __init__(self, code: Code, kind: ProxyKind) -> None:
        self._code = code
        self.kind = kind
        self.read: set[str] = set()

    def load(
        self,
        environment: ImmutableSandboxedEnvironment,  # type: ignore[override] # the only one that we make
        name: str,
        globals: MutableMapping[str, object] | None = None,  # noqa: A002 # the name of the base class
    ) -> Template:
        """The template at the path `name`."""
        self.read.add(name)

        def compiled(source: str) -> CodeType:
            return environment.compile(source, name, name)

        try:
            code = self._code.get(name, compiled)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise TemplateNotFound(name, f"cannot read {name}: {error.strerror}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateNotFound(name, f"cannot read {name}: {error}") from error
        return environment.template_class.from_code(environment, code, globals or {})


class _Writer(CodeGenerator):
    """Has everything that is written go through the environment, with the template's name and the line."""

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802 # the visitor's name
        # As the original, but for the lines: an extending template writes nothing outside of its blocks.
        if frame.require_output_check:
            if self.has_known_extends:
                return
            self.writeline("if parent_template is None:")
            self.indent()
        for child in node.nodes:
            if isinstance(child, nodes.TemplateData):
                self._data(child, frame)
            else:
                self.start_write(frame, child)
                self.visit(child, frame)
                self.end_write(frame)
        if frame.require_output_check:
            self.outdent()

    def _data(self, node: nodes.TemplateData, frame: Frame) -> None:
        for at, line in enumerate(_LINE.findall(node.data)):
            where = nodes.TemplateData(line, lineno=node.lineno + at)
            super().start_write(frame, where)
            self.write(f"environment.data({line!r}, name, {where.lineno})")
            super().end_write(frame)

    def start_write(self, frame: Frame, node: nodes.Node | None = None) -> None:
        super().start_write(frame, node)
        line = node.lineno if node is not None else 0
        self.write(f"environment.written(name, {line}, ")

    def end_write(self, frame: Frame) -> None:
        self.write(")")
        super().end_write(frame)


class Engine(ImmutableSandboxedEnvironment):
    """One rendering: `bare` makes text of a value that no filter has seen, `ends` raises when the time is over."""

    code_generator_class = _Writer
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(
        self,
        loader: Loader,
        filters: Mapping[str, Callable[..., object]],
        bare: Callable[[object], str],
        ends: Callable[[], None],
    ) -> None:
        super().__init__(
            loader=loader,
            undefined=Unknown,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            # Folding constants would take what a filter gave for a plain text.
            optimized=False,
            autoescape=False,
            auto_reload=False,
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
        )
        for name in _LEFT_OUT:
            del self.filters[name]
        self.globals.pop("lipsum")
        self.filters.update(filters)
        self.filters["indent"] = _indented
        self.concat = self._concat  # type: ignore[method-assign] # what the compiled code calls
        self.turn = ends
        self._bare = bare
        self._kind = loader.kind
        self._bytes = 0

    def data(self, text: str, name: str, line: int) -> Text:
        """The template's own words."""
        return Text(text, ((self._counted(text), (name, line)),))

    def written(self, name: str, line: int, value: object) -> Text:
        """What an expression gives, when it can be written."""
        self.turn()
        if isinstance(value, Text):
            if value.pieces:
                return value
            text = str(value)
        else:
            text = self._bare(value)
        return Text(text, ((self._counted(text), (name, line)),))

    def join_path(self, template: str, parent: str) -> str:
        """Where an included template is: beside the one that includes it, or a shipped one."""
        if template.startswith(PREFIX):
            return template_path(self._kind, template)
        return (
            template if os.path.isabs(template) else os.path.join(os.path.dirname(parent), template)
        )

    def call_binop(self, context: object, operator: str, left: object, right: object) -> object:
        """Products and powers of a size that a configuration can have."""
        del context
        if operator == "**":
            if not all(
                isinstance(one, int | float) and abs(one) <= _LARGEST_POWER for one in (left, right)
            ):
                raise SecurityError("a power of such numbers is no part of a configuration")
        elif operator == "*":
            for one, times in ((left, right), (right, left)):
                if (
                    isinstance(one, str | list | tuple)
                    and isinstance(times, int)
                    and len(one) * times > _LONGEST_PRODUCT
                ):
                    raise SecurityError("repeated so often, it is too long")
        elif isinstance(left, str) and _WIDTH.search(left):
            raise SecurityError("a format with such a width makes something too long")
        return self.binop_table[operator](left, right)

    def wrap_str_format(self, value: object) -> None:
        """No `format` of texts: a width in it makes something long of something short, and `~` does as well."""
        if getattr(value, "__name__", "") in {"format", "format_map"} and isinstance(
            getattr(value, "__self__", None), str
        ):
            raise SecurityError("texts have no format() here; put them together with ~")

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Nothing that pads."""
        if isinstance(obj, str) and attr in _PADDING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def _counted(self, text: str) -> str:
        self._bytes += len(text)
        if self._bytes > OUTPUT_BYTES:
            raise LimitError(f"it gives more than {OUTPUT_BYTES >> 20} MiB")
        return text

    def _concat(self, texts: Iterable[str]) -> Text:
        # A macro, or a block that is set: everything in it was written.
        self.turn()
        return joined(text for text in texts if isinstance(text, Text))

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        # A loop that writes nothing would not notice that its time is over.
        for loop in list(source.find_all(nodes.For)):
            turn = nodes.EnvironmentAttribute("turn", lineno=loop.lineno)
            call = nodes.Call(turn, [], [], None, None, lineno=loop.lineno)
            loop.body.insert(0, nodes.ExprStmt(call, lineno=loop.lineno))
        return super()._generate(source, name, filename, defer_init)


def _indented(text: str, width: int = 4, first: bool = False) -> str:
    """As the filter of Jinja2; what was safe stays so, since nothing but white space at the beginning of lines is added."""
    if not isinstance(width, int) or not 0 <= width <= 80:
        raise UnwritableError("it can be indented by 0 to 80 characters")
    margin = " " * width
    start = bool(first)
    pieces: list[Piece] = []
    given = text.pieces if isinstance(text, Text) else ()
    for piece, origin in given or ((str(text), NOWHERE),):
        made = ""
        for line in _LINE.findall(piece):
            made += margin + line if start and line != "\n" else line
            start = line.endswith("\n")
        pieces.append((made, origin))
    made = "".join(piece for piece, _ in pieces)
    return Text(made, tuple(pieces) if given else ()) if isinstance(text, Text) else made
