"""The helpers of the tests are tested too: a lint that finds nothing would please everyone."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import HTMX_URL, Cdn, Watched, htmx, open_context
from tests.support.html import lint
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

INTEGRITY = "sha384-H5SrcfygHmAuTDZphMHqBJLc3FhssKjG7w/CeCpFReSfwBWDTKpkzPP8c+cLsK+V"
GOOD = """<!doctype html><html lang="nl"><head><title>t</title></head><body><h1>Kop</h1>
<form method="post" action="/x"><input type="hidden" name="csrf_token" value="1">
<label>Naam <input name="a"></label><label for="b">B</label><select id="b"></select>
<input aria-label="c" name="c"><button>Ja</button></form>
<a href="/"><svg aria-hidden="true"></svg><img src="/i.png" alt="Begin"></a></body></html>"""


def test_a_good_page_and_a_fragment_have_no_problems() -> None:
    assert lint(GOOD) == []
    assert lint('<tr id="row-1"><td>100% {x</td></tr>') == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("<select id", '<p id="b"></p><select id', "id 'b' stands 2 times"),
        ("<h1>Kop</h1>", "", "the page has 0 h1"),
        ("</h1>", "</h1><h1>x</h1>", "the page has 2 h1"),
        (' lang="nl"', "", "<html> has no lang"),
        ("<title>t</title>", "", "no title"),
        ("Naam ", "", "has no label"),
        (' aria-label="c"', "", "has no label"),
        ('for="b"', 'for="z"', "which is not there"),
        (' action="/x"', "", "has no action"),
        ('name="csrf_token"', 'name="token"', "has no csrf_token"),
        ('method="post"', 'method="get"', "into the address"),
        ("<h1>", '<h1 style="color:red">', "inline style"),
        ("<h1>", "<style>p{}</style><h1>", "inline style sheet"),
        ("<h1>", "<script>x()</script><h1>", "inline script"),
        ("<button>", '<button onclick="x()">', "inline handler onclick"),
        ("<button>Ja", "<button>", "has no accessible name"),
        ('alt="Begin"', 'alt=""', "has no accessible name"),
        (' alt="Begin"', "", "has no alt"),
        ("Kop", "%(name)s", "not filled in"),
        ("Kop", "Dag {name}", "not filled in"),
        ('alt="Begin"', 'alt="{bank}"', "in its alt"),
    ],
)
def test_each_problem_is_found(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    assert any(problem in found for found in lint(GOOD.replace(old, new, 1)))


def test_every_database_is_fresh_and_a_template_is_made_once(
    postgres_server: PostgresServer,
) -> None:
    import psycopg

    made = []

    def prepare(url: str) -> None:
        made.append(url)
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("CREATE TABLE seen (at int)")

    postgres_server.make_template("house", prepare)
    first = postgres_server.create(postgres_server.make_template("house", prepare))
    second = postgres_server("house")
    assert len(made) == 1
    assert len({first, second, postgres_server()}) == 3
    with psycopg.connect(first.replace("+psycopg", "")) as connection:
        connection.execute("INSERT INTO seen VALUES (1)")
    with psycopg.connect(second.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (0,)


def test_the_local_htmx_is_the_one_of_the_cdn() -> None:
    digest = base64.b64encode(hashlib.sha384(htmx()).digest()).decode()
    assert f"sha384-{digest}" == INTEGRITY


@pytest.fixture
def site() -> Iterator[str]:
    body = (
        '<!doctype html><html lang="nl"><head><title>t</title><link rel="icon" href="data:,">'
        f'<script src="{HTMX_URL}" integrity="{INTEGRITY}" crossorigin="anonymous"></script>'
        "</head><body><h1>Dag</h1></body></html>"
    ).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_browser_gets_htmx_and_checks_its_integrity(page: Page, site: str) -> None:
    page.goto(site)
    assert page.evaluate("htmx.version") == "2.0.10"


@pytest.mark.parametrize(("cdn", "error"), [("tampered", "integrity"), ("refused", "ERR_FAILED")])
def test_a_broken_cdn_is_seen(browser: Browser, site: str, cdn: Cdn, error: str) -> None:
    with open_context(browser, cdn=cdn) as watched:
        page = watched.new_page()
        page.goto(site)
        assert page.evaluate("typeof htmx") == "undefined"
        assert any(error in text for text in watched.errors)
        watched.expect(error)


def test_other_machines_are_out_of_reach_and_errors_are_told(watched: Watched, site: str) -> None:
    page = watched.new_page()
    page.goto(site)
    page.evaluate("fetch('https://example.com/').catch(() => 0)")
    page.evaluate("setTimeout(() => { throw new Error('oops') })")
    page.wait_for_function("true")
    page.wait_for_timeout(100)
    assert watched.refused == ["https://example.com/"]
    assert any("oops" in text for text in watched.errors)
    with pytest.raises(AssertionError, match="oops"):
        watched.check()
    watched.expect("oops|example.com|ERR_FAILED")
