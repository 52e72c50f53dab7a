"""Lints every HTML answer a test client reads, so that no page forgets what people need."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from bs4 import BeautifulSoup, Comment, Doctype, Tag

_UNLABELLED_TYPES = {"hidden", "submit", "button", "reset", "image"}
_KEY = re.compile(r"%\(\w+\)[sd]|\{\w*\}|\{\{|\{%|%[sd]\b")
_TOKEN = re.compile(r'(?<=name="csrf_token" value=")[^"]+')
_ID_REFERENCES = (
    "for", "form", "list", "aria-labelledby", "aria-describedby", "aria-controls",
    "aria-errormessage", "aria-details", "aria-owns",
)  # fmt: skip


def lint(html: str) -> list[str]:
    """What is wrong with a page or a fragment, one sentence each; empty when all is well.

    A page is what has an `<html>` element; a fragment is not asked for a heading or a language,
    and may refer to ids of the page it goes into.
    """
    return list(_wrong(_TOKEN.sub("x", html)))


@lru_cache(maxsize=5000)
def _wrong(html: str) -> tuple[str, ...]:
    """Tests read the same pages again and again, which differ in a token alone."""
    return tuple(dict.fromkeys(_problems(BeautifulSoup(html, "html.parser"))))


def _problems(soup: BeautifulSoup) -> Iterator[str]:
    tags = _all(soup)
    ids = Counter(str(tag["id"]) for tag in tags if tag.has_attr("id"))
    yield from (f"id {name!r} stands {n} times" for name, n in ids.items() if n > 1)
    yield from ("an id is empty or has white space" for name in ids if not name or " " in name)
    yield from _page(soup, tags, ids)
    yield from _controls(soup)
    yield from _forms(soup)
    yield from _inline(soup, tags)
    yield from _names(soup)
    yield from _texts(soup, tags)


def _all(soup: BeautifulSoup | Tag, *names: str) -> list[Tag]:
    found = soup.find_all(names or True)
    return [tag for tag in found if isinstance(tag, Tag)]


def _about(tag: Tag) -> str:
    keys = ("id", "name", "type", "href", "action", "class")
    shown = "".join(f' {key}="{_attribute(tag, key)}"' for key in keys if tag.has_attr(key))
    return f"<{tag.name}{shown}>"


def _attribute(tag: Tag, name: str) -> str:
    value = tag.get(name)
    return " ".join(value) if isinstance(value, list) else str(value or "")


def _page(soup: BeautifulSoup, tags: list[Tag], ids: Counter[str]) -> Iterator[str]:
    page = soup.find("html")
    if not isinstance(page, Tag):
        return
    if not _attribute(page, "lang").strip():
        yield "<html> has no lang"
    headings = len(_all(soup, "h1"))
    if headings != 1:
        yield f"the page has {headings} h1 instead of one"
    title = soup.find("title")
    if not isinstance(title, Tag) or not title.get_text(strip=True):
        yield "the page has no title"
    for tag in tags:
        for key in _ID_REFERENCES:
            for name in _attribute(tag, key).split():
                if name not in ids:
                    yield f'{_about(tag)} refers with {key} to "{name}", which is not there'


def _controls(soup: BeautifulSoup) -> Iterator[str]:
    labelled = {_attribute(tag, "for") for tag in _all(soup, "label") if _text(tag)} - {""}
    for tag in _all(soup, "input", "select", "textarea"):
        if tag.name == "input" and _attribute(tag, "type").lower() in _UNLABELLED_TYPES:
            continue
        wrapped = any(_text(parent) for parent in tag.find_parents("label"))
        own = _attribute(tag, "aria-label").strip() or _attribute(tag, "aria-labelledby").strip()
        if not (wrapped or own or _attribute(tag, "id") in labelled):
            yield f"{_about(tag)} has no label"


def _forms(soup: BeautifulSoup) -> Iterator[str]:
    for form in _all(soup, "form"):
        if not _attribute(form, "action"):
            yield f"{_about(form)} has no action"
        method = _attribute(form, "method").lower() or "get"
        fields = [field for field in _all(form, "input") if field.get("name") == "csrf_token"]
        if method == "post" and not any(_attribute(field, "value") for field in fields):
            yield f"{_about(form)} has no csrf_token"
        if method == "get" and fields:
            yield f"{_about(form)} would put its csrf_token into the address"
        if form.find_parent("form"):
            yield f"{_about(form)} stands inside another form"


def _inline(soup: BeautifulSoup, tags: list[Tag]) -> Iterator[str]:
    for tag in tags:
        if tag.has_attr("style"):
            yield f"{_about(tag)} has an inline style"
        for name in tag.attrs:
            if name.lower().startswith(("on", "hx-on")):
                yield f"{_about(tag)} has an inline handler {name}"
            elif name in {"href", "src", "action"} and _attribute(tag, name).lower().startswith(
                "javascript:"
            ):
                yield f"{_about(tag)} runs a script from its address"
    for script in _all(soup, "script"):
        if not script.has_attr("src") and "json" not in _attribute(script, "type"):
            yield "an inline script"
    yield from ("an inline style sheet" for _ in _all(soup, "style"))


def _names(soup: BeautifulSoup) -> Iterator[str]:
    for tag in _all(soup, "button", "a", "summary"):
        if (tag.name != "a" or tag.has_attr("href")) and not _text(tag):
            yield f"{_about(tag)} has no accessible name"
    for image in _all(soup, "img"):
        if not image.has_attr("alt"):
            yield f"{_about(image)} has no alt"
    for button in _all(soup, "input"):
        kind = _attribute(button, "type").lower()
        if kind in {"submit", "button", "reset"} and not (
            _attribute(button, "value") or _attribute(button, "aria-label")
        ):
            yield f"{_about(button)} has no accessible name"


def _text(tag: Tag) -> str:
    """The accessible name, near enough: own label, text that is not hidden, alt texts."""
    for key in ("aria-label", "aria-labelledby", "title"):
        if value := _attribute(tag, key).strip():
            return value
    words = []
    for node in tag.descendants:
        parents = [node, *node.parents] if isinstance(node, Tag) else list(node.parents)
        if any(_attribute(p, "aria-hidden") == "true" for p in parents if isinstance(p, Tag)):
            continue
        if isinstance(node, Tag):
            words.append(_attribute(node, "alt") or _attribute(node, "aria-label"))
        elif not isinstance(node, Comment):
            words.append(str(node))
    return " ".join(" ".join(words).split())


def _texts(soup: BeautifulSoup, tags: list[Tag]) -> Iterator[str]:
    for node in soup.find_all(string=True):
        parents = {parent.name for parent in node.parents}
        if isinstance(node, Comment | Doctype) or parents & {"script", "style", "code", "pre"}:
            continue
        if found := _KEY.search(str(node)):
            yield f"a text was not filled in: {found[0]!r} in {' '.join(str(node).split())[:60]!r}"
    for tag in tags:
        for key in ("title", "alt", "placeholder", "aria-label", "value"):
            if key == "value" and _attribute(tag, "type") not in {"submit", "button"}:
                continue
            if found := _KEY.search(_attribute(tag, key)):
                yield f"{_about(tag)} has {found[0]!r} in its {key}"
