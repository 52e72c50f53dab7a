"""What every template must be, whatever it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask, render_template
from jinja2 import StrictUndefined

from banklink.web.viewmodel import Link, Notice
from tests.web.sample_views import (
    account,
    activation,
    bookings,
    choosing,
    drawer,
    empty_page,
    expired,
    forty,
    fresh,
    journal_missing,
    one_of_each,
    page,
)

ROOT = Path(__file__).parents[2]
CDN = SimpleNamespace(
    url="https://cdn.example/htmx.min.js", integrity="sha384-x", local="/static-local/htmx.min.js"
)
DEMO = SimpleNamespace(
    simulator_url="http://127.0.0.1:5001/",
    simulator_name="Ondernemersapp",
    panel_url="/demo",
    today="21 mei 2025",
    gallery_url="/gallery",
)


def make_app() -> Flask:
    """The smallest app that gives templates what Banklink gives them."""
    app = Flask(
        "sample", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static")
    )
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        str, lambda one, many, n: one if n == 1 else many, newstyle=True
    )
    app.jinja_env.globals.update(
        csrf_token=lambda: "token", asset=lambda name: f"/static/{name}?v=1"
    )

    @app.context_processor
    def shell() -> dict[str, Any]:
        return {
            "app_name": "Banklink",
            "locale": "nl",
            "user": SimpleNamespace(name="Sanne", account_url="/account", sign_out_url=None),
            "cdn": CDN,
            "assets_local": False,
            "demo": DEMO,
        }

    return app


ROWS = one_of_each()
BACK = Link(label="Terug naar Bankenkoppeling", url="/")
GO = "https://bank.example/authorize?state=x&y=z"

PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "the page with one row of each": ("maintenance/page.html", {"page": page(ROWS)}),
    "the page with panels open": (
        "maintenance/page.html",
        {
            "page": page(
                (
                    drawer(expired()),
                    choosing(journal_missing()),
                    activation(fresh()),
                    activation(fresh(31, "1131 Nog een"), wrong=True),
                ),
                flash=Notice(tone="ok", text="Vernieuwd."),
            )
        },
    ),
    "the page with a form of its own": (
        "maintenance/page.html",
        {"page": page(ROWS, form=choosing(fresh()).panel)},
    ),
    "forty rows": ("maintenance/page.html", {"page": page(forty())}),
    "the empty page": ("maintenance/page.html", {"page": empty_page()}),
    "transactions": (
        "transactions/list.html",
        {
            "head": account(),
            "notice": Notice(tone="ok", text="Teruggezet."),
            "rows": bookings(),
            "pending": [
                {
                    "expected": None,
                    "expected_iso": None,
                    "name": None,
                    "iban": None,
                    "text": "",
                    "amount": "1,00",
                    "into": True,
                }
            ],
            "summary": [("count", "", "1.204 mutaties"), ("in", "Bij", "12,00")],
            "filtered": True,
            "search": "",
            "fields": (),
            "open": True,
            "address": "/t",
            "pages": {"next": Link(label="Ouder", url="/?p=2")},
            "empty": "",
        },
    ),
    "no transactions": (
        "transactions/list.html",
        {
            "head": account(progress=None, progress_url=None, actions=()),
            "notice": None,
            "rows": [],
            "pending": [],
            "summary": [("count", "", "0 mutaties")],
            "filtered": False,
            "search": "",
            "fields": (),
            "open": False,
            "address": "/t",
            "pages": {},
            "empty": "Nog niets opgehaald.",
        },
    ),
    "hand-over": (
        "pages/handover.html",
        {
            "target": GO,
            "host": "bank.example",
            "sentence": "Je gaat nu naar Demobank.",
            "consent": SimpleNamespace(
                lead="Kantoor vraagt toestemming.", facts=(("Hoe lang", "Tot je het intrekt."),)
            ),
        },
    ),
    "an error": (
        "pages/message.html",
        {
            "title": "Dat ging mis",
            "text": "Er is niets gewijzigd.",
            "back": BACK,
            "tone": "error",
            "incident": "7F3A-21",
        },
    ),
    "a message": (
        "pages/message.html",
        {
            "title": "Ga verder in je andere browser",
            "text": "Daar ben je begonnen.",
            "back": None,
            "tone": "info",
            "incident": None,
        },
    ),
    "the gallery": (
        "pages/gallery.html",
        {"groups": [("Gebroken", list(ROWS[:2])), ("De rest", list(ROWS[2:]))]},
    ),
}
FRAGMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a row": ("maintenance/_row.html", {"row": expired()}),
    "a row with its drawer": ("maintenance/_row.html", {"row": drawer(expired())}),
    "a refresh": (
        "maintenance/_poll.html",
        {"page": page(ROWS), "rows": ROWS[:3], "editing": [fresh()]},
    ),
    "the answer to a press": ("maintenance/_answer.html", {"page": page(ROWS), "row": expired()}),
    "the last row gone": (
        "maintenance/_gone.html",
        {"page": empty_page(), "notice": Notice(tone="ok", text="Koppeling verwijderd.")},
    ),
}


@pytest.fixture(scope="module")
def app() -> Iterator[Flask]:
    yield make_app()


def render(app: Flask, name: str) -> BeautifulSoup:
    template, context = (PAGES | FRAGMENTS)[name]
    with app.test_request_context("/?filter=all"):
        return BeautifulSoup(render_template(template, **context), "html.parser")


@pytest.fixture(params=[*PAGES, *FRAGMENTS])
def html(app: Flask, request: pytest.FixtureRequest) -> BeautifulSoup:
    return render(app, request.param)


@pytest.fixture(params=[*PAGES])
def whole(app: Flask, request: pytest.FixtureRequest) -> BeautifulSoup:
    return render(app, request.param)


def name_of(element: Tag, html: BeautifulSoup) -> str:
    """The accessible name, as far as these templates use it."""
    return str(element.get("aria-label") or element.get_text(" ", strip=True))


def test_every_id_is_unique(html: BeautifulSoup) -> None:
    ids = [str(tag["id"]) for tag in html.select("[id]")]
    assert sorted(ids) == sorted(set(ids))
    assert not [i for i in ids if " " in i]


def test_every_reference_points_at_something_on_the_page(whole: BeautifulSoup) -> None:
    ids = {str(tag["id"]) for tag in whole.select("[id]")}
    for attribute in ("for", "aria-labelledby", "aria-describedby"):
        for tag in whole.select(f"[{attribute}]"):
            value = tag[attribute]
            wanted = value.split() if isinstance(value, str) else value
            assert set(wanted) <= ids, (attribute, tag)
    assert {str(use["href"]).removeprefix("#") for use in whole.select("use")} <= ids


def test_every_page_has_one_h1_a_title_and_a_language(whole: BeautifulSoup) -> None:
    assert len(whole.select("h1")) == 1
    assert whole.title and whole.title.get_text(strip=True)
    assert whole.html and whole.html["lang"] == "nl"


def test_headings_do_not_skip_a_level(whole: BeautifulSoup) -> None:
    levels = [int(tag.name[1]) for tag in whole.find_all(["h1", "h2", "h3", "h4"])]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_field_has_a_label(html: BeautifulSoup) -> None:
    for field in html.select("input:not([type=hidden]), select, textarea"):
        assert html.select(f'label[for="{field["id"]}"]'), field


def test_every_form_works_without_javascript(html: BeautifulSoup) -> None:
    for form in html.select("form"):
        assert form.get("action"), form
        assert form.select("button[type=submit]"), form
        assert not form.select("form"), form
        if str(form["method"]).lower() == "post":
            assert form.select('input[type=hidden][name=csrf_token][value="token"]'), form
        else:
            assert not form.select("[name=csrf_token]")
    for link in html.select("a"):
        assert link.get("href"), link


def test_nothing_is_inline_that_the_policy_forbids(html: BeautifulSoup) -> None:
    assert not html.select("style, [style]")
    assert all(script.get("src") for script in html.select("script"))
    handlers = [
        key for tag in html.find_all(True) for key in tag.attrs if key.startswith(("on", "hx-on"))
    ]
    assert not handlers


def test_what_leaves_for_the_bank_is_never_a_swap(html: BeautifulSoup) -> None:
    for press in html.select("[data-leaves]"):
        form = press.find_parent("form")
        assert form is not None
        assert not [key for tag in (form, press) for key in tag.attrs if key.startswith("hx-")]


def test_every_htmx_element_says_its_own_target_and_swap(html: BeautifulSoup) -> None:
    for tag in html.select("[hx-get], [hx-post]"):
        assert tag.get("hx-target"), tag
        assert tag.get("hx-swap"), tag
        assert tag.name not in ("a", "form") or tag.get("href") or tag.get("action"), tag


def test_what_has_the_same_name_does_the_same(html: BeautifulSoup) -> None:
    """A control's accessible name is unique, unless it stands twice because it helps in two places."""
    does: dict[str, set[str]] = {}
    for control in html.select("button:not([hidden]), a.button, summary"):
        form = control.find_parent("form")
        deed = str(control.get("href") or (form and form["action"]) or control.get("id")) + str(
            control.get("value", "")
        )
        if control.has_attr("disabled"):
            deed = ""
        name = name_of(control, html)
        assert name, control
        does.setdefault(name, set()).add(deed)
    assert {name: deeds for name, deeds in does.items() if len(deeds) > 1} == {}


def test_the_name_of_a_control_begins_with_what_it_shows(html: BeautifulSoup) -> None:
    for control in html.select("[aria-label]:is(button, a)"):
        shown = control.get_text(" ", strip=True)
        assert str(control["aria-label"]).startswith(shown), control


def test_an_error_stands_at_its_field_with_the_way_out(app: Flask) -> None:
    html = render(app, "the page with panels open")
    wrong = html.select_one("#connection-31-form-field-start")
    assert wrong is not None and wrong["aria-invalid"] == "true"
    assert "connection-31-form-field-start-error" in str(wrong["aria-describedby"])
    take = html.select_one("button[name=take_start]")
    assert take is not None and take["value"] == "2023-11-03"
    first = html.select("#connection-31 form.fill button[type=submit]")[0]
    assert first.has_attr("hidden"), "Enter must press the form's own verb, not the offer"


def test_only_rows_without_an_open_panel_are_refreshed(app: Flask) -> None:
    for name, wanted in (
        ("the page with panels open", "editing"),
        ("the page with one row of each", "row"),
    ):
        html = render(app, name)
        for body in html.select("tbody.connection"):
            mark = body.select_one("th input[type=hidden]")
            assert mark is not None and mark["name"] == wanted
            assert (
                mark["value"]
                == f"{str(body['id']).removeprefix('connection-')}:{body['data-digest']}"
            )


def test_the_gallery_posts_nothing(app: Flask) -> None:
    gallery = render(app, "the gallery")
    main = gallery.select_one("main")
    assert main is not None
    assert not main.select("form, a[href], [hx-get], [hx-post], input")
    assert main.select("button[disabled]")


def test_the_hand_over_page_goes_on_by_itself_without_javascript(app: Flask) -> None:
    html = render(app, "hand-over")
    link, meta = html.select_one("a#go"), html.select_one("meta[http-equiv=refresh]")
    assert link is not None and link["href"] == GO
    assert meta is not None and meta["content"] == f"0; url={GO}"
    assert not html.select("script")


def test_only_the_local_htmx_is_loaded_when_that_is_asked(app: Flask) -> None:
    with app.test_request_context("/"):
        text = render_template("pages/message.html", assets_local=True, **PAGES["a message"][1])
    sources = [script["src"] for script in BeautifulSoup(text, "html.parser").select("script")]
    assert sources == [CDN.local, "/static/app.js?v=1"]


def test_a_refresh_is_nothing_but_out_of_band_pieces(app: Flask) -> None:
    html = render(app, "a refresh")
    pieces = [tag for tag in html.find_all(True, recursive=False) if tag.name != "title"]
    assert {tag.name for tag in pieces} == {"template"}
    for piece in pieces:
        assert all(child.has_attr("hx-swap-oob") for child in piece.find_all(True, recursive=False))


def test_what_people_type_is_escaped(app: Flask) -> None:
    nasty = '<img src=x onerror="alert(1)">'
    with app.test_request_context("/"):
        text = render_template(
            "maintenance/_row.html", row=replace(expired(), title=nasty, helper=nasty)
        )
    assert "<img" not in text
