"""What is looked at on a page that stands open: does it fit, can everybody use it, are the names of
its controls apart."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

STICKS_OUT = """() => {
  const wide = document.documentElement.scrollWidth, room = window.innerWidth, found = [];
  if (wide > room) found.push(`the page is ${wide} wide in ${room}`);
  const seen = e => {
    const r = e.getBoundingClientRect();
    return r.width > 1 && r.height > 1 && !e.closest('.unseen')
      && e.checkVisibility({ visibilityProperty: true });
  };
  const slides = e => {
    for (let p = e.parentElement; p; p = p.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX)) return true;
    return false;
  };
  for (const e of document.querySelectorAll('button, a.button, summary, .chip, .label, .title, '
      + '.iban, h1, h2, h3, p, dd, dt, li, label, select, input:not([type=hidden]), td, th')) {
    if (!seen(e)) continue;
    const r = e.getBoundingClientRect(), what = `${e.tagName}.${e.className} "${(e.innerText
      || e.value || '').slice(0, 40)}"`;
    if ((r.right > room + 1 || r.left < -1) && !slides(e)) found.push(`outside: ${what}`);
    else if (e.matches('button, a.button, summary, .chip')
        && (e.scrollWidth > e.clientWidth + 1 && e.clientWidth)) found.push(`cut: ${what}`);
  }
  for (const e of document.querySelectorAll('main *, header *')) {
    const style = getComputedStyle(e);
    if (seen(e) && ['auto', 'scroll'].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1
        && !e.matches('textarea') && style.backgroundImage === 'none')
      found.push(`slides and nothing shows it: ${e.tagName}.${e.className} in ${
        e.parentElement.className}`);
  }
  return found;
}"""

SMALL_TARGETS = """() => [...document.querySelectorAll('main button, main a.button, main summary')]
  .filter(e => e.checkVisibility() && !e.closest('.unseen'))
  .filter(e => {
    const r = e.getBoundingClientRect();
    return r.width && (r.height < 24 || r.width < 24);
  })
  .map(e => `${e.id} "${e.innerText}" ${Math.round(e.getBoundingClientRect().width)}x`
    + `${Math.round(e.getBoundingClientRect().height)}`)"""

# The names as axe computes them (W3C accname). What a control does is its address with what it
# sends along; the forgery token and the row's version are the same purpose each time.
SHARED_NAMES = """() => {
  for (const e of document.querySelectorAll('details')) { e.removeAttribute('name'); e.open = true; }
  axe.setup(document);
  const sent = e => [...e.form.elements]
    .filter(f => f.type === 'hidden' && !['csrf_token', 'version', 'next'].includes(f.name))
    .concat(e.name ? [e] : []).map(f => `${f.name}=${f.value}`).join('&');
  const does = e => e.href ?? (e.form ? `${e.getAttribute('formaction') ?? e.form.action}?${sent(e)}`
    : e.id);
  const controls = within => [...within.querySelectorAll(
      'a[href], button, summary, select, textarea, input:not([type=hidden])')]
    .filter(e => e.checkVisibility({ visibilityProperty: true }))
    .map(e => ({ e, name: axe.commons.text.accessibleText(e).trim().toLowerCase(), does: does(e) }));
  const twice = (all, differ) => {
    const found = [], known = new Map();
    for (const each of all) {
      const other = known.get(each.name);
      if (!each.name) found.push(`no name: ${each.e.outerHTML.slice(0, 120)}`);
      else if (!other) known.set(each.name, each);
      else if (differ(each, other)) found.push(
        `“${each.name}” is ${other.e.id || other.does} and ${each.e.id || each.does}`);
    }
    return found;
  };
  const apart = (one, other) => one.does !== other.does || !one.e.href;
  const rows = [...document.querySelectorAll('tbody.connection, .ledger tbody, li.row')]
    .flatMap(row => twice(controls(row), apart).map(text => `in ${row.id || 'a row'}: ${text}`));
  const pressed = controls(document).filter(c => c.e.matches('a, button, summary'));
  const page = twice(pressed, (one, other) => one.does !== other.does);
  axe.teardown();
  return [...rows, ...page];
}"""

_RUN = """([part, options]) => axe.run(part || document, options).then(found => found.violations.map(
  each => `${each.id}: ` + each.nodes.map(
    node => `${node.target.join(' ')} ${node.failureSummary.replace(/\\s+/g, ' ')}`).join(' | ')))"""
_RULES = "axe._audit.rules.filter(r => !r.tags.includes('deprecated')).map(r => r.id)"
CONTRAST, STRONG_CONTRAST = "color-contrast", "color-contrast-enhanced"
TARGET_SIZE = "target-size"
COLOURS = (CONTRAST, STRONG_CONTRAST)
"""The rules that depend on colours, and the only slow ones."""
_QUICK: dict[str, Any] = {
    "resultTypes": ["violations"],
    "elementRef": False,
    "iframes": False,
    "preload": False,
}


@cache
def _axe() -> str:
    return str(Axe().axe_script)


def bring_axe(page: Page) -> None:
    """Goes by way of the debugger, which the page's CSP does not stop."""
    if page.evaluate("window.axe === undefined"):
        page.evaluate(_axe())


def sticks_out(page: Page) -> list[str]:
    small = [f"small: {each}" for each in page.evaluate(SMALL_TARGETS)]
    return [*page.evaluate(STICKS_OUT), *small]


def all_but_colours(page: Page) -> list[str]:
    """Every rule that is not deprecated: those of AAA, best practice and experiment too."""
    return [each for each in page.evaluate(_RULES) if each not in COLOURS]


def violations(page: Page, rules: Collection[str], part: str = "") -> list[str]:
    """What axe has against the page or the part of it by these rules."""
    if not rules:
        return []
    found: list[str] = page.evaluate(_RUN, [part, {**_QUICK, "runOnly": [*rules]}])
    return found


def shared_names(page: Page) -> list[str]:
    """Controls of one row that a screen reader calls the same, but for links to one address, and of
    the page what is called the same and does something else. Opens every menu; axe must be there."""
    found: list[str] = page.evaluate(SHARED_NAMES)
    return found
