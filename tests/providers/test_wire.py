"""The adapter against a service that misbehaves, over real HTTP: it says what kind of trouble it
is, believes nothing it cannot read, and gives no secret away."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from banklink.providers.contract import (
    AccountNotFound,
    AuthorisationEnded,
    CallbackInvalid,
    ConfigurationError,
    ContractViolation,
    Credentials,
    GrantRevoked,
    ProviderError,
    RateLimited,
    Temporary,
    TokenRefused,
)
from banklink.providers.ponto import Ponto
from banklink.settings import PontoSettings

REAL = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
TOKEN = Credentials("very-secret-access", "very-secret-refresh", REAL + timedelta(hours=1))
Answer = tuple[int, dict[str, str], bytes]


class Service:
    """Answers every request with what the test says; keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[str, str], Answer] = lambda _method, _path: (404, {}, b"{}")
        self.asked: list[tuple[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                self.rfile.read(length)
                service.asked.append((self.command, self.path))
                status, headers, body = service.answer(self.command, self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _any

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def says(self, body: Any, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _method, _path: (status, named, content)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def ponto(service: Service) -> Iterator[Ponto]:
    adapter = Ponto(
        PontoSettings(
            authorize_url=f"{service.origin}/auth",
            token_url=f"{service.origin}/token",
            api_url=f"{service.origin}/api",
            client_id="banklink",
            client_secret="very-secret-client",
        )
    )
    yield adapter
    adapter.close()


def transaction(**changes: Any) -> dict[str, Any]:
    attributes = {
        "amount": -12.5,
        "currency": "EUR",
        "executionDate": "2026-11-01T23:00:00.000Z",
        "valueDate": "2026-11-02T23:00:00.000Z",
        "remittanceInformation": "Koffie",
        **changes,
    }
    return {"id": "t1", "type": "transaction", "attributes": attributes}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>Maintenance</html>", "answer_not_json"),
        (b'{"data": [', "answer_not_json"),
        (b"[]", "answer_not_an_object"),
        (b'{"data": {}}', "data_not_a_list"),
        (b'{"data": [1]}', "data_not_a_list"),
        (b'{"data": [{"id": "x", "attributes": {"amount": NaN}}]}', "answer_not_json"),
    ],
)
def test_what_cannot_be_read_is_refused_whole(
    service: Service, ponto: Ponto, body: bytes, code: str
) -> None:
    service.says(body)
    with pytest.raises(ContractViolation, match=code):
        ponto.transactions(TOKEN, account_ref="a", cursor=None)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "credentialsInvalid", TokenRefused),
        (403, "forbidden", TokenRefused),
        (404, "resourceNotFound", AccountNotFound),
        (400, "resourceNotFound", AccountNotFound),
        (403, "authorizationInvalid", AuthorisationEnded),
        (401, "authorizationExpired", AuthorisationEnded),
        (429, "tooManyRequests", RateLimited),
        (500, "internalServerError", Temporary),
        (503, "unavailable", Temporary),
        (400, "somethingElse", ProviderError),
    ],
)
def test_the_bodys_code_decides_before_the_status(
    service: Service, ponto: Ponto, status: int, code: str, kind: type[ProviderError]
) -> None:
    service.says({"errors": [{"code": code, "detail": "<b>x</b>"}]}, status)
    with pytest.raises(ProviderError) as raised:
        ponto.accounts(TOKEN)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "90"}, timedelta(seconds=90)),
        ({"Retry-After": "Mon, 23 Nov 2099 10:00:00 GMT"}, ...),
        ({}, None),
        ({"Retry-After": "soon"}, None),
    ],
)
def test_a_limit_says_when_to_come_back(
    service: Service, ponto: Ponto, headers: dict[str, str], pause: Any
) -> None:
    service.answer = lambda _m, _p: (429, headers, b"{}")
    with pytest.raises(RateLimited) as raised:
        ponto.accounts(TOKEN)
    if pause is ...:
        assert raised.value.retry_after is not None
        assert raised.value.retry_after == timedelta(days=7)
    else:
        assert raised.value.retry_after == pause


def test_a_next_link_to_another_origin_is_not_followed(service: Service, ponto: Ponto) -> None:
    service.says({"data": [], "links": {"next": "http://127.0.0.1:9/elsewhere"}})
    page = ponto.transactions(TOKEN, account_ref="a", cursor=None)
    before = len(service.asked)
    with pytest.raises(ContractViolation, match="another_origin"):
        ponto.transactions(TOKEN, account_ref="a", cursor=page.cursor)
    assert len(service.asked) == before


def test_amounts_are_exact_and_days_are_dutch(service: Service, ponto: Ponto) -> None:
    service.says(
        b'{"data": ['
        + json.dumps(transaction()).encode().replace(b"-12.5", b"-1234567890123.45")
        + b"]}"
    )
    found = ponto.transactions(TOKEN, account_ref="a", cursor=None).transactions[0]
    assert found.amount == Decimal("-1234567890123.45")
    assert found.booked_on == date(2026, 11, 2)
    assert found.value_on == date(2026, 11, 3)


def test_a_redirect_is_not_followed(service: Service, ponto: Ponto) -> None:
    service.answer = lambda _m, _p: (302, {"Location": "http://127.0.0.1:9/"}, b"")
    with pytest.raises(ProviderError, match="http_302"):
        ponto.accounts(TOKEN)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_grant"}, GrantRevoked),
        (401, {"error": "invalid_client"}, ConfigurationError),
        (500, {"error": "server_error"}, Temporary),
        (503, b"<html>", Temporary),
        (200, b"<html>", ContractViolation),
        (200, {"token_type": "bearer"}, ContractViolation),
        (200, {"access_token": "a", "expires_in": -5, "token_type": "bearer"}, ContractViolation),
    ],
)
def test_only_a_refused_grant_is_a_withdrawn_one(
    service: Service, ponto: Ponto, status: int, body: Any, kind: type[ProviderError]
) -> None:
    service.says(body, status, content_type="application/json")
    with pytest.raises(ProviderError) as raised:
        ponto.refresh(TOKEN, real=REAL)
    assert type(raised.value) is kind


def test_a_refused_code_is_a_failed_return(service: Service, ponto: Ponto) -> None:
    service.says({"error": "invalid_grant"}, 400, content_type="application/json")
    with pytest.raises(CallbackInvalid):
        ponto.complete_grant(
            code="c", private={"verifier": "v" * 64}, redirect_uri="http://x/", real=REAL
        )


def test_a_service_that_sends_no_new_refresh_token_keeps_the_old(
    service: Service, ponto: Ponto
) -> None:
    service.says(
        {"access_token": "new", "expires_in": 1799, "token_type": "bearer"},
        content_type="application/json",
    )
    assert ponto.refresh(TOKEN, real=REAL).refresh_token == TOKEN.refresh_token


def test_a_service_that_is_not_there_is_an_outage() -> None:
    nowhere = "http://127.0.0.1:9"
    ponto = Ponto(PontoSettings(nowhere, nowhere, nowhere, "banklink", "very-secret-client"))
    with pytest.raises(Temporary):
        ponto.accounts(TOKEN)
    with pytest.raises(Temporary):
        ponto.refresh(TOKEN, real=REAL)
    ponto.close()


def test_no_secret_is_in_the_log_or_an_exception(
    service: Service, ponto: Ponto, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.says(
        {
            "access_token": "very-secret-new",
            "refresh_token": "very-secret-newer",
            "expires_in": 1799,
            "token_type": "bearer",
        },
        content_type="application/json",
    )
    assert "very-secret" not in repr(ponto.refresh(TOKEN, real=REAL))
    service.says({"error": "invalid_grant"}, 400, content_type="application/json")
    with pytest.raises(GrantRevoked) as raised:
        ponto.refresh(TOKEN, real=REAL)
    assert "very-secret" not in repr(raised.value)
    assert "very-secret" not in caplog.text
