"""What the sources say to people: the sentences in gettext, and the words outside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

from babel.messages.extract import extract
from jinja2 import Environment, nodes

ROOT = Path(__file__).parents[2]
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "gettext": None,
    "N_": None,
    "ngettext": (1, 2),
}
_BLOCKS = {"trim_blocks": "true", "lstrip_blocks": "true"}
_JINJA = {**_BLOCKS, "newstyle_gettext": "true", "silent": "false"}

Msgid = str | tuple[str, ...]
"""A sentence, or its singular and plural."""


# -- sentences in gettext -----------------------------------------------------------------------


def python_sources() -> list[Path]:
    """The modules that speak in the domain `banklink`; the simulator has its own."""
    return _without_simulator(ROOT / "banklink", "*.py")


def templates() -> list[Path]:
    return _without_simulator(ROOT / "templates", "*.html")


def _without_simulator(folder: Path, pattern: str) -> list[Path]:
    aside = folder / "simulator"
    return sorted(path for path in folder.rglob(pattern) if aside not in path.parents)


def msgids() -> dict[Msgid, list[str]]:
    """Every sentence in the sources, with the files it stands in, in the order of reading."""
    found: dict[Msgid, list[str]] = {}
    for paths, read in ((python_sources(), python_msgids), (templates(), template_msgids)):
        for path in paths:
            place = path.relative_to(ROOT).as_posix()
            for msgid in read(path.read_text(encoding="utf-8")):
                places = found.setdefault(msgid, [])
                if place not in places:
                    places.append(place)
    return found


def python_msgids(source: str) -> Iterator[Msgid]:
    """Read from the syntax tree: Babel's own reader misses a call inside an f-string, and takes
    the key of `_(SENTENCES["key"])` for a sentence."""
    tree = ast.parse(source)
    keywords = {**KEYWORDS, **_other_names(tree)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name not in keywords:
            continue
        wanted = len(keywords[name] or (1,))
        given = [_sentences(argument) for argument in call.args[:wanted]]
        if len(given) == wanted:
            yield from (each if wanted > 1 else each[0] for each in zip(*given, strict=False))


def _other_names(tree: ast.Module) -> dict[str, tuple[int, ...] | None]:
    """What a module calls them besides: `say = voice.gettext`."""
    return {
        target.id: KEYWORDS[node.value.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in KEYWORDS
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _sentences(argument: ast.expr) -> list[str]:
    """The literals this argument can be: both of `"a" if well else "b"`, none of a variable."""
    if isinstance(argument, ast.IfExp):
        return _sentences(argument.body) + _sentences(argument.orelse)
    if isinstance(argument, ast.JoinedStr | ast.BinOp):
        raise ValueError(f"line {argument.lineno}: put together before it is translated")
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    return []


def template_msgids(source: str) -> Iterator[Msgid]:
    found = extract("jinja2.ext:babel_extract", _bytes(source), KEYWORDS, options=_JINJA)
    for _line, msgid, _comments, _context in found:
        yield msgid


def _bytes(source: str) -> BytesIO:
    return BytesIO(source.encode())


# -- words outside it ---------------------------------------------------------------------------

_SPOKEN = frozenset(
    """alt aria-description aria-label aria-roledescription aria-valuetext label placeholder title
    data-announce data-busy data-copied data-failed data-offline data-retry""".split()
)
"""Attributes people see or hear; the `data-` ones are said by app.js."""
_SILENT = frozenset({"script", "style"})
_WORD = re.compile(r"[^\W\d_]+")
_UNKNOWN = "\ue000"
"""Stands where the template puts a value: not a word, and nothing else either."""

_ATTRIBUTES = re.compile(r"\s[^<>]*=\s*[\"']")
_FLAGS = frozenset({"checked", "disabled", "hidden", "readonly", "required", "selected"})


def loose_words(template: str, allowed: Iterable[str] = ()) -> list[str]:
    """The texts of a Jinja template that hold words outside gettext, whatever branch they are in.

    Not seen: a literal that reaches the page by way of a variable (`{% set x = "Hello" %}`).
    """
    environment = Environment(
        extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    known = frozenset(allowed)
    found = []
    for fragment in _fragments(environment.parse(template)):
        reader = _Reader()
        reader.feed(f"<x{fragment}>" if _ATTRIBUTES.match(fragment) else fragment)
        reader.close()
        found += [
            " ".join(re.sub(f"{_UNKNOWN}+", "…", text).split())
            for text in reader.texts
            if set(_WORD.findall(text)) - known
        ]
    return found


def _fragments(template: nodes.Template) -> list[str]:
    """The HTML with all branches one after another: the page, and each macro or `set` block."""
    apart: list[str] = []

    def html(node: nodes.Node) -> str:
        if isinstance(node, nodes.Output):
            return "".join(
                part.data if isinstance(part, nodes.TemplateData) else _literals(part)
                for part in node.nodes
            )
        if isinstance(node, nodes.Expr):
            return ""
        inside = "".join(html(child) for child in node.iter_child_nodes())
        if isinstance(node, nodes.Macro | nodes.CallBlock | nodes.AssignBlock):
            apart.append(inside)
            return _UNKNOWN
        return inside

    return [html(template), *apart]


def _literals(value: nodes.Node) -> str:
    """The words a `{{ … }}` may itself put on the page. What a call answers is not its own: so
    `_("…")` is fine, and a name given to a macro is no word."""
    if isinstance(value, nodes.Const | nodes.TemplateData):
        return str(value.as_const())
    if isinstance(value, nodes.CondExpr):
        children: list[nodes.Node | None] = [value.expr1, value.expr2]
    elif isinstance(value, nodes.Filter):
        given = value.args if value.name in ("default", "d") else []
        children = [value.node, *given]
    elif isinstance(value, nodes.BinExpr | nodes.Concat):
        children = list(value.iter_child_nodes())
    else:
        children = []
    return _UNKNOWN + _UNKNOWN.join(_literals(child) for child in children if child) + _UNKNOWN


class _Reader(HTMLParser):
    """Collects what is read out: text, and the attributes that are spoken."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("type")
        for name, value in attrs:
            pressed = name == "value" and tag == "input" and kind in ("submit", "button", "reset")
            if value and (name in _SPOKEN or pressed):
                self.texts.append(value)
            elif tag == "x" and value is None and name not in _FLAGS:
                self.texts.append(name)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem not in _SILENT:
            self.texts.append(data)
