"""A house to look at, a house to change, and a browser without JavaScript that lints all it reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from banklink.examples import FIRMS, Example
from banklink.providers.contract import Temporary
from banklink.store.models import Administration, Connection
from tests.support.house import TestHouse, running_demo
from tests.support.html import lint

BASE = "http://localhost"
EXAMPLES: dict[str, Example] = {each.name: each for firm in FIRMS for each in firm.examples}


class Visitor(FlaskClient):
    """Reads pages as a bookkeeper's browser would; a page with a fault in it is a failed test."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        if args and isinstance(args[0], str):
            kwargs.setdefault("base_url", BASE)
        kwargs.setdefault("buffered", True)
        answer = super().open(*args, **kwargs)
        if answer.mimetype == "text/html" and answer.data:
            problems = lint(answer.text)
            assert not problems, f"{answer.request.path}: {problems}"
        return answer

    def token(self) -> str:
        """The CSRF token of this visitor's session, as it stands in a form of any page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/no-such-page").text)
        assert found is not None
        return found[1]

    def press(
        self, address: str, data: dict[str, Any] | None = None, *, htmx: bool = False
    ) -> TestResponse:
        """A POST as a form of the page makes it; with `htmx` as the page's script makes it."""
        token = self.token()
        headers = {"HX-Request": "true"} if htmx else {}
        return self.post(address, data={"csrf_token": token, **(data or {})}, headers=headers)

    def speak(self, locale: str) -> Visitor:
        self.press("/language", {"locale": locale, "next": "/"})
        return self


def soup(answer: TestResponse) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def rows_of(answer: TestResponse) -> list[Tag]:
    return [each for each in soup(answer).select("tbody.connection") if isinstance(each, Tag)]


def row_of(answer: TestResponse, connection_id: int) -> Tag:
    found = soup(answer).select_one(f"tbody#connection-{connection_id}")
    assert isinstance(found, Tag), f"no row {connection_id}"
    return found


def words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())


def field(tag: Tag, name: str) -> str:
    """The value of an input or the checked one of a group."""
    inputs = tag.select(f'input[name="{name}"]')
    assert inputs, f"no field {name}"
    radios = [each for each in inputs if each.get("type") == "radio"]
    chosen = next((each for each in radios if each.has_attr("checked")), None)
    return str((chosen if radios else inputs[0])["value"]) if chosen or not radios else ""


class Books:
    """What a test asks of a house's database."""

    def __init__(self, house: TestHouse):
        self.house = house

    def administrations(self) -> dict[str, int]:
        with self.house.services.store.read() as session:
            return {each.reference: each.id for each in session.query(Administration)}

    def connection(self, name: str) -> Connection:
        """The connection made from the example of that name."""
        iban = EXAMPLES[name].iban
        with self.house.services.store.read() as session:
            found: Connection = session.query(Connection).filter_by(iban=iban).one()
            return found

    def id(self, name: str) -> int:
        return self.connection(name).id

    def version(self, name: str) -> str:
        return str(self.connection(name).version)


class Silent:
    """A provider from whom no answer comes."""

    id = "ponto"
    issuer = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def nothing(*_args: object, **_kwargs: object) -> Any:
            raise Temporary("ConnectError")

        return nothing


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHouse]:
    """A house that a module's tests read and none changes."""
    with running_demo(tmp_path_factory.mktemp("shown"), web=False) as found:
        yield found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHouse]:
    """A house of this module; its tests leave each other's rows alone."""
    with running_demo(tmp_path_factory.mktemp("house"), web=False) as found:
        yield found


def visitor_of(house: TestHouse) -> Visitor:
    house.parts.web.test_client_class = Visitor
    found = house.parts.web.test_client()
    assert isinstance(found, Visitor)
    return found


@pytest.fixture
def reader(shown: TestHouse) -> Visitor:
    return visitor_of(shown)


@pytest.fixture
def visitor(house: TestHouse) -> Visitor:
    return visitor_of(house)


@pytest.fixture
def books(house: TestHouse) -> Books:
    return Books(house)


@pytest.fixture
def shown_books(shown: TestHouse) -> Books:
    return Books(shown)


@pytest.fixture
def provider_down(house: TestHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(house.services.providers, "ponto", Silent())


@pytest.fixture
def counted() -> Callable[[TestHouse, Callable[[], object]], int]:
    """How many SQL statements a piece of work takes."""

    def count(house: TestHouse, work: Callable[[], object]) -> int:
        said: list[str] = []

        def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
            if not statement.startswith(("BEGIN", "PRAGMA")):
                said.append(statement)

        engine = house.services.store.engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            work()
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return len(said)

    return count
