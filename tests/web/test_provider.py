"""Provider settings: what may be stored, what is never shown again, and what a test finds out."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from banklink.actions.credentials import put
from banklink.actions.revoke import revoke_due
from banklink.providers.contract import ConfigurationError, Credentials
from banklink.store.models import Administration, Grant, Holder, ProviderSettings, Revocation
from tests.support.certificates import certificate
from tests.support.house import TestHouse
from tests.web.conftest import Visitor, soup, words
from tests.web.empty import empty_house

SECRET = "the-secret-of-this-test"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestHouse, Visitor]]:
    with empty_house(tmp_path_factory.mktemp("provider")) as (house, visitor):
        visitor.speak("en")
        yield house, visitor


@pytest.fixture
def house(place: tuple[TestHouse, Visitor]) -> TestHouse:
    with place[0].services.store.write() as session:
        session.query(ProviderSettings).delete()
    return place[0]


@pytest.fixture
def visitor(place: tuple[TestHouse, Visitor], house: TestHouse) -> Visitor:
    return place[1]


def right(house: TestHouse, **more: str) -> dict[str, str]:
    """What reaches the embedded app."""
    origin = house.bank_origin
    (client,) = house.simulator.config.clients
    return {
        "preset": "other",
        "authorize_url": f"{origin}/oauth2/auth",
        "token_url": f"{origin}/oauth2/token",
        "api_url": f"{origin}/ponto-connect/",
        "client_id": client.id,
        "client_secret": client.secret,
        "issuer": origin,
        "version": "0",
        **more,
    }


def tried(visitor: Visitor, form: dict[str, str]) -> str:
    answer = visitor.press("/provider", {**form, "do": "test"})
    assert answer.status_code == 200, words(soup(answer))
    return words(soup(answer).select_one("main > .notice"))


# -- storing ------------------------------------------------------------------------------------


def test_what_is_stored_is_used_at_once_and_the_secret_is_never_shown(
    house: TestHouse, visitor: Visitor
) -> None:
    with pytest.raises(ConfigurationError, match="not_configured"):
        house.services.provider.begin_grant(redirect_uri="", state="", label="", reference="")
    form = right(house)
    assert visitor.press("/provider", form).status_code == 303
    assert house.services.provider.issuer == house.bank_origin
    page = visitor.get("/provider").text
    assert form["client_secret"] not in page
    assert form["client_id"] in page
    with house.services.store.read() as session:
        assert form["client_secret"] not in session.query(ProviderSettings).one().sealed


def test_an_empty_secret_keeps_the_stored_one(house: TestHouse, visitor: Visitor) -> None:
    visitor.press("/provider", right(house))
    before = house.services.provider
    assert before is house.services.provider  # made once, as long as nothing changed
    form = right(house, client_secret="", version="1")
    assert "It works" in tried(visitor, form)
    visitor.press("/provider", form)
    assert house.services.provider is not before
    assert house.services.provider.check().code == "works"  # type: ignore[attr-defined]


@pytest.mark.parametrize("do", ["test", "save"])
@pytest.mark.parametrize("name", ["token_url", "api_url"])
def test_the_stored_secret_does_not_go_to_another_server_unless_typed_again(
    house: TestHouse, visitor: Visitor, name: str, do: str
) -> None:
    visitor.press("/provider", right(house))
    heard: list[str] = []
    with serving((200, b"{}"), heard=heard) as url:
        form = right(house, client_secret="", version="1", issuer="typed", do=do, **{name: url})
        answer = visitor.press("/provider", form)
        assert answer.status_code == 422
        page = soup(answer)
        error = page.select_one("#page-form-field-client_secret-error")
        assert error is not None and "is on another server" in words(error)
        assert [field["value"] for field in page.select(f"[name={name}], [name=issuer]")] == [
            url,
            "typed",
        ]
        assert heard == [], "nobody there has seen a secret or a token"
        with house.services.store.read() as session:
            assert session.query(ProviderSettings).one().version == 1
        secret = right(house)["client_secret"]
        visitor.press("/provider", {**form, "client_secret": secret, "do": "test"})
        assert heard, "who types it may have it tried out there"


def test_an_address_that_is_sent_nothing_secret_changes_without_typing_the_secret(
    house: TestHouse, visitor: Visitor
) -> None:
    visitor.press("/provider", right(house))
    origin = house.bank_origin
    form = right(
        house,
        client_secret="",
        version="1",
        authorize_url="https://elsewhere.example/auth",
        token_url=f"{origin.upper().replace('HTTP', 'http')}/oauth2/token",
    )
    assert visitor.press("/provider", form).status_code == 303


def given(house: TestHouse) -> int:
    """A permission an account holder gave, with its tokens, kept for later."""
    at = house.at()
    with house.services.store.write() as session:
        session.query(Revocation).delete()
        session.query(Grant).delete()
        books = session.query(Administration).first()
        books = books or Administration(reference="given", name="Given")
        holder = Holder(subject=f"holder-{secrets.token_hex(4)}", provider="ponto", name="Hella")
        session.add_all([books, holder])
        session.flush()
        grant = Grant(
            administration_id=books.id,
            holder_id=holder.id,
            state="active",
            granted_at=at.now,
            credentials_version=0,
        )
        put(house.services, grant, Credentials("access", "refresh", at.real + timedelta(hours=1)))
        session.add(grant)
        session.flush()
        return int(grant.id)


def test_what_holders_gave_at_the_earlier_server_is_not_handed_to_another(
    house: TestHouse, visitor: Visitor
) -> None:
    visitor.press("/provider", right(house))
    number = given(house)
    moved = right(house, version="1", api_url="https://elsewhere.example/api")
    answer = visitor.press("/provider", {**moved, "client_secret": SECRET})
    page = soup(answer)
    assert "1 permission an account holder gave at the earlier server ends" in words(page.main)
    with house.services.store.read() as session:
        assert session.query(ProviderSettings).one().version == 1
        assert session.get_one(Grant, number).credentials is not None
    form = {
        str(each["name"]): str(each.get("value", ""))
        for each in page.select(".provider input[type=hidden]")
    }
    assert visitor.press("/provider", {**moved, "client_secret": SECRET, **form}).status_code == 303
    with house.services.store.read() as session:
        grant = session.get_one(Grant, number)
        assert (grant.state, grant.credentials) == ("revoked", None)
        assert session.query(Revocation).one().settings is not None
    assert revoke_due(house.services, house.at()) == 1, "the earlier one is told that it is over"
    with house.services.store.read() as session:
        told = session.query(Revocation).one()
        assert told.confirmed_at is not None and (told.sealed, told.settings) == (None, None)


def test_who_knows_the_secret_moves_to_another_address_with_all_permissions(
    house: TestHouse, visitor: Visitor
) -> None:
    visitor.press("/provider", right(house))
    number = given(house)
    moved = right(house, version="1", api_url="https://elsewhere.example/api")
    assert visitor.press("/provider", moved).status_code == 303
    with house.services.store.read() as session:
        assert session.get_one(Grant, number).credentials is not None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"token_url": "http://example.com/token"}, "token_url"),
        ({"token_url": "ftp://127.0.0.1/token"}, "token_url"),
        ({"api_url": ""}, "api_url"),
        ({"authorize_url": "https://name:pw@example.com/"}, "authorize_url"),
        ({"client_id": " "}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"certificate": "not PEM", "certificate_key": "neither"}, "certificate"),
        ({"certificate_key": "a key alone"}, "certificate"),
    ],
)
def test_what_cannot_be_is_said_at_its_field_and_stays_typed(
    house: TestHouse, visitor: Visitor, wrong: dict[str, str], field: str
) -> None:
    answer = visitor.press("/provider", right(house, **wrong))
    assert answer.status_code == 422
    page = soup(answer)
    assert page.select_one(f"#page-form-field-{field}-error") is not None
    kept = page.select_one("#page-form-field-token_url")
    assert kept is not None
    assert kept["value"] == wrong.get("token_url", right(house)["token_url"])
    with house.services.store.read() as session:
        assert session.query(ProviderSettings).count() == 0


def test_of_two_people_the_second_is_told(house: TestHouse, visitor: Visitor) -> None:
    visitor.press("/provider", right(house))
    answer = visitor.press("/provider", right(house, client_id="mine"))
    assert answer.status_code == 409
    assert "saved other values" in words(soup(answer).select_one("[role=alert]"))
    assert 'value="mine"' in answer.text


def test_a_pasted_certificate_is_kept_sealed_and_leaves_no_file(
    house: TestHouse, visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    text, key = certificate()
    _other, strange = certificate()
    answer = visitor.press("/provider", right(house, certificate=text, certificate_key=strange))
    assert "does not belong" in words(soup(answer))
    expired, old = certificate(valid=timedelta(days=-1))
    answer = visitor.press("/provider", right(house, certificate=expired, certificate_key=old))
    assert "no longer valid" in words(soup(answer))
    form = right(house, certificate=text, certificate_key=key)
    assert visitor.press("/provider", form).status_code == 303
    page = visitor.get("/provider").text
    assert "PRIVATE KEY" not in page
    assert "valid until" in page
    house.services.provider.check()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
    with house.services.store.read() as session:
        assert "PRIVATE" not in session.query(ProviderSettings).one().sealed


def test_a_key_with_a_password_is_refused_and_asks_nobody(
    house: TestHouse, visitor: Visitor
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    form = right(house, certificate=certificate()[0], certificate_key=key.decode())
    assert "without a password" in words(soup(visitor.press("/provider", form)))


# -- testing ------------------------------------------------------------------------------------


def test_a_right_one_works_without_being_stored(house: TestHouse, visitor: Visitor) -> None:
    assert "It works" in tried(visitor, right(house))
    with house.services.store.read() as session:
        assert session.query(ProviderSettings).count() == 0


def test_a_test_says_what_is_not_saved_and_what_was_not_tested(
    house: TestHouse, visitor: Visitor
) -> None:
    said = tried(visitor, right(house))
    assert said.endswith("Not saved yet: press Save.")
    assert "Not tested: the issuer" in said
    visitor.press("/provider", right(house))
    kept = right(house, version="1", client_secret="")
    assert "Not saved" not in tried(visitor, kept)
    assert "Not saved yet: press Save." in tried(visitor, {**kept, "issuer": "other"})
    assert tried(visitor, {**kept, "client_secret": SECRET}).endswith("Not saved yet.")


def test_the_answer_to_a_form_stands_under_the_tab_of_its_page(
    house: TestHouse, visitor: Visitor
) -> None:
    visitor.press("/books", {"name": "Bakkerij", "fiscal_year_start": "2026-01-01"})
    for address in ("/provider", "/provider/test", "/books"):
        page = soup(visitor.press(address, {}))
        assert len(page.select(".tabs [aria-current]")) == 1, address
        assert len(page.select(".sections [aria-current]")) == 1, address


def preset(**more: str) -> dict[str, str]:
    return {"preset": "real", "client_id": "x", "client_secret": SECRET, "version": "0", **more}


@pytest.mark.parametrize("do", ["test", "save"])
def test_ponto_is_not_tried_or_kept_without_the_certificate_it_asks_for(
    house: TestHouse, visitor: Visitor, do: str
) -> None:
    for form in (preset(), right(house, api_url="https://api.ibanity.com/ponto-connect")):
        answer = visitor.press("/provider", {**form, "do": do})
        assert answer.status_code == 422
        page = soup(answer)
        error = page.select_one("#page-form-field-certificate-error")
        assert error is not None and "without a client certificate" in words(error)
        assert "optional" not in words(page.select_one("[data-field=certificate] label"))
    text, key = certificate()
    assert (
        visitor.press("/provider", preset(certificate=text, certificate_key=key)).status_code == 303
    )
    forget = preset(version="1", client_secret="", forget_certificate="1")
    assert visitor.press("/provider", forget).status_code == 422


def test_a_known_address_that_is_not_found_is_no_spelling_mistake(
    house: TestHouse, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "a server without internet")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    text, key = certificate()
    said = tried(visitor, preset(certificate=text, certificate_key=key))
    assert said.startswith("Token address: this server cannot find the name.")
    assert "has internet" in said
    assert "spelling" not in said


def test_a_wrong_secret_is_called_that(house: TestHouse, visitor: Visitor) -> None:
    assert "does not accept" in tried(visitor, right(house, client_secret=SECRET))


@pytest.mark.parametrize(
    ("name", "path", "says"),
    [
        ("token_url", "/oauth2/tokens", "Token address: there is nothing"),
        ("api_url", "/ponto", "API address: there is nothing"),
        ("authorize_url", "/oauth2/authorise", "Authorisation address: there is nothing"),
        ("token_url", "/sign-in", "Token address: something else"),
    ],
)
def test_a_wrong_path_names_the_address(
    house: TestHouse, visitor: Visitor, name: str, path: str, says: str
) -> None:
    assert says in tried(visitor, right(house, **{name: house.bank_origin + path}))


def test_a_name_a_port_and_a_silence_are_told_apart(
    house: TestHouse, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("banklink.providers.ponto._TRIAL_TIMEOUT", 0.3)
    said = tried(visitor, right(house, token_url="https://no-such-name.invalid/token"))
    assert "this server cannot find the name. Check the spelling" in said
    assert "has internet" in said
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        said = tried(visitor, right(house, token_url=f"http://127.0.0.1:{port}/token"))
        assert "nothing answers" in said
        closed.listen()
        said = tried(visitor, right(house, token_url=f"http://127.0.0.1:{port}/token"))
        assert "no answer within" in said


@contextmanager
def serving(
    answer: tuple[int, bytes],
    context: ssl.SSLContext | None = None,
    heard: list[str] | None = None,
) -> Iterator[str]:
    """A stranger on this machine who always says the same, and writes down what it `heard`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if heard is not None:
                heard.append(str(self.headers.get("Authorization")))
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1])

        do_GET = do_POST

        def log_message(self, *_args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def server_context(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    text, key = certificate()
    path = tmp_path / "server.pem"
    path.write_text(key + text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, str(path)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((503, b""), "out of order"),
        ((429, b""), "asks to wait"),
        ((200, b"<html>"), "something else"),
        ((401, b""), "accept"),
    ],
)
def test_what_else_answers(
    house: TestHouse, visitor: Visitor, answer: tuple[int, bytes], says: str
) -> None:
    with serving(answer) as url:
        assert says in tried(visitor, right(house, token_url=url))
        if answer[0] == 429:
            assert says in tried(visitor, right(house, api_url=url))
            assert says in tried(visitor, right(house, authorize_url=url))


@pytest.mark.parametrize("status", [401, 403])
def test_a_service_that_refuses_is_not_called_something_else(
    house: TestHouse, visitor: Visitor, status: int
) -> None:
    with serving((status, b'{"errors": [{"code": "unauthorized"}]}')) as url:
        said = tried(visitor, right(house, api_url=url))
        assert said.startswith("API address: there is a service, and it refuses us."), said
        assert "rights" in said
    with serving((403, b"")) as url:
        said = tried(visitor, right(house, token_url=url))
        assert said.startswith("Token address: there is a service, and it refuses us."), said
    with serving((200, b"<html>")) as url:
        assert "something else" in tried(visitor, right(house, api_url=url))


@contextmanager
def raw(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Whoever connects is read once and then talked to, below HTTP and TLS."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                caller, _ = listening.accept()
                with caller, suppress(OSError):
                    caller.recv(65_536)
                    talk(caller)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("alert", "says"),
    [
        (116, "wants a client certificate"),  # certificate_required
        (42, "wants a client certificate"),  # bad_certificate
        (70, "no secure connection"),  # protocol_version
        (80, "no secure connection"),  # internal_error
    ],
)
def test_only_an_alert_about_our_certificate_is_called_that(
    house: TestHouse, visitor: Visitor, alert: int, says: str
) -> None:
    with raw(lambda caller: caller.sendall(bytes([21, 3, 3, 0, 2, 2, alert]))) as port:
        said = tried(visitor, right(house, token_url=f"https://127.0.0.1:{port}/token"))
    assert says in said


@pytest.mark.parametrize(
    ("size", "pause", "says"), [(1, 0.1, "no answer within"), (2**20, 0.0, "something else")]
)
def test_a_server_that_drips_or_pours_without_end_is_cut_off(
    house: TestHouse,
    visitor: Visitor,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    pause: float,
    says: str,
) -> None:
    monkeypatch.setattr("banklink.providers.ponto._TRIAL_SECONDS", 0.5)
    sent: list[int] = []

    def talk(caller: socket.socket) -> None:
        caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(40):
            caller.sendall(b" " * size)
            sent.append(size)
            time.sleep(pause)

    with raw(talk) as port:
        assert says in tried(visitor, right(house, token_url=f"http://127.0.0.1:{port}/token"))
    assert len(sent) < 20


def test_tls_troubles_are_told_apart(
    house: TestHouse, visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, path = server_context(tmp_path)
    with serving((200, b"{}"), context) as url:
        assert "is not trusted" in tried(visitor, right(house, token_url=url))
    with serving((200, b"{}")) as url:
        said = tried(visitor, right(house, token_url=url.replace("http:", "https:")))
        assert "no secure connection" in said
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(path)
    trusting: Callable[..., ssl.SSLContext] = ssl.create_default_context

    def lenient(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        made = trusting(*args, **kwargs)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made

    monkeypatch.setattr(ssl, "create_default_context", lenient)
    text, key = certificate(name="a stranger")
    with serving((200, b"{}"), context) as url:
        form = right(house, token_url=url, certificate=text, certificate_key=key)
        assert "wants a client certificate" in tried(visitor, form)


def test_what_other_keys_sealed_is_said_and_can_be_entered_anew(
    house: TestHouse, visitor: Visitor
) -> None:
    with house.services.store.write() as session:
        session.add(
            ProviderSettings(provider="ponto", sealed="x", version=3, updated_at=house.at().now)
        )
    assert "cannot be opened" in words(soup(visitor.get("/provider")).select_one(".notice"))
    assert visitor.press("/provider", right(house, version="3")).status_code == 303
    assert house.services.provider.check().code == "works"  # type: ignore[attr-defined]
