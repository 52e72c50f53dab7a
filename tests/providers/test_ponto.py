"""What the adapter makes of a service that answers badly, late, or not at all.

The service is a small real HTTP server: what matters here happens between bytes and exceptions.
"""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from banklink.providers import ponto
from banklink.providers.contract import (
    AccountNotFound,
    AuthorisationEnded,
    CallbackInvalid,
    ConfigurationError,
    ContractViolation,
    Credentials,
    Departure,
    GrantRevoked,
    Page,
    ProviderError,
    ProviderTransaction,
    RateLimited,
    StatedBalance,
    Temporary,
    TokenRefused,
)
from banklink.providers.ponto import Ponto
from banklink.settings import PontoSettings, load

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ACCESS, REFRESH, SECRET, VERIFIER, CODE = (
    f"canary-{word}" for word in ("access", "refresh", "secret", "verifier", "code")
)
TOKENS = Credentials(ACCESS, REFRESH, NOW + timedelta(minutes=30))

Answer = tuple[int, dict[str, str], bytes]


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    """An answer: JSON, or bytes as they are. Header names use _ for -."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/vnd.api+json", **named}, content


def refusal(status: int, code: str, **headers: str) -> Answer:
    return said({"errors": [{"code": code, "detail": "…"}]}, status, **headers)


class Service:
    """Answers every request with what the test says; remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[str, str], Answer] = lambda _m, _p: said({})
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one segment an answer, else the other side waits for the rest

            def _all(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                service.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, content = service.answer(self.command, self.path)
                self.send_response(status)
                headers.setdefault("Content-Length", str(len(content)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:  # the caller had enough
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = _all

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def says(self, *answers: Answer) -> None:
        """These, one after the other; the last again and again."""
        left = list(answers)
        self.answer = lambda _m, _p: left.pop(0) if len(left) > 1 else left[0]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def running_service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


@pytest.fixture
def service(running_service: Service) -> Service:
    running_service.asked.clear()
    running_service.says(said({}))
    return running_service


def adapter_at(origin: str) -> Ponto:
    settings = PontoSettings(
        authorize_url=f"{origin}/oauth2/auth",
        token_url=f"{origin}/oauth2/token",
        api_url=f"{origin}/api",
        client_id="banklink",
        client_secret=SECRET,
        issuer=origin,
    )
    return Ponto(settings, sleep=lambda _: None)


@pytest.fixture
def adapter(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ponto]:
    monkeypatch.setattr(ponto, "_TIMEOUT", httpx2.Timeout(0.4))
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    made = adapter_at(service.origin)
    yield made
    made._client.close()


def booking(**more: Any) -> dict[str, Any]:
    attributes = {
        "amount": 12.5,
        "currency": "EUR",
        "executionDate": "2026-11-20T00:00:00.000Z",
        "valueDate": "2026-11-20T00:00:00.000Z",
        "counterpartName": "Molen",
        "counterpartReference": "NL85DEMO0417164300",
        "remittanceInformation": "Factuur 1",
        **more,
    }
    return {"id": more.pop("id", "t1"), "type": "transaction", "attributes": attributes}


def shown(**more: Any) -> dict[str, Any]:
    attributes = {
        "referenceType": "IBAN",
        "reference": "NL85DEMO0417164300",
        "currency": "EUR",
        "description": "Zakelijk",
        "authorizedAt": "2026-11-01T09:00:00.000Z",
        "authorizationExpirationExpectedAt": "2027-04-30T21:59:59.999Z",
        **more.pop("attributes", {}),
    }
    return {"id": "a1", "type": "account", "attributes": attributes, **more}


def page(adapter: Ponto, cursor: str | None = None) -> Page:
    return adapter.transactions(TOKENS, account_ref="a1", cursor=cursor)


# -- answers that are no answers ----------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"<html><body>Even geduld a.u.b.</body></html>",
        b'{"data": [{"id": "t1", "attributes": {"amount": 12.',
        b'{"data": [], "meta": NaN}',
        b'{"data": [], "meta": -Infinity}',
        b"\xff\xfe\x00\x01",
        b"[]",
        b"null",
        b'"data"',
        b"",
        b'{"data": null}',
        b'{"data": {"id": "t1"}}',
        b'{"data": ["t1"]}',
        b'{"data": [], "links": "next"}',
        b'{"data": [], "links": ["next"]}',
        b"[" * 200_000,
    ],
)
def test_what_cannot_be_understood_is_a_contract_violation(
    service: Service, adapter: Ponto, content: bytes
) -> None:
    service.says(said(content))
    with pytest.raises(ContractViolation):
        page(adapter)
    with pytest.raises(ContractViolation):
        adapter.accounts(TOKENS)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({**booking(), "attributes": None}, "transaction_without_date"),
        ({**booking(), "attributes": []}, "not_an_object"),
        ({**booking(), "attributes": "x"}, "not_an_object"),
        (booking(amount=None), "no_amount"),
        (booking(amount="12.50"), "no_amount"),
        (booking(amount=True), "no_amount"),
        (booking(amount=0.001), "amount_not_exact"),
        (booking(amount=10**17), "amount_too_large"),
        (booking(amount=10**400), "amount_not_exact"),
        (booking(currency=None), "missing_currency"),
        (booking(currency=978), "missing_currency"),
        (booking(executionDate=None, valueDate=None), "transaction_without_date"),
        (booking(executionDate="20 november"), "not_a_time"),
        (booking(executionDate="2026-02-30"), "not_a_date"),
        (booking(executionDate="2026-13-01T00:00:00Z"), "not_a_time"),
        (booking(executionDate="9999-12-31T23:59:59Z"), "not_of_our_times"),
        (booking(counterpartName={"name": "Molen"}), "booking_text_not_a_text"),
        (booking(counterpartReference=["NL85"]), "booking_text_not_a_text"),
        (booking(remittanceInformation={"text": "Factuur"}), "booking_text_not_a_text"),
        (booking(remittanceInformation=12), "booking_text_not_a_text"),
    ],
)
def test_a_booking_that_cannot_be_read_is_kept_apart_and_costs_the_others_nothing(
    service: Service, adapter: Ponto, item: dict[str, Any], code: str
) -> None:
    service.says(said({"data": [booking(id="before"), item, booking(id="after")]}))
    answer = page(adapter)
    assert [each.id for each in answer.transactions] == ["before", "after"]
    (problem,) = answer.unreadable
    assert problem.code == code
    assert json.loads(json.dumps(problem.content))["id"] == "t1"


def test_what_could_not_be_read_is_kept_as_it_came_and_not_without_end(
    service: Service, adapter: Ponto
) -> None:
    odd = booking(
        amount=None,
        executionDate=None,
        valueDate="gisteren",
        remittanceInformation="x\x00" * 10_000,
        fee=0.1,
        more={"deep": {"deeper": {"deepest": [1]}}},
        many=[True] * 10_000,
    )
    content = json.dumps({"data": [odd]}).replace("0.1", "0.10000000000000000001")
    service.says(said(content.encode()))
    (problem,) = page(adapter).unreadable
    kept = problem.content["attributes"]
    assert (kept["valueDate"], kept["fee"]) == ("gisteren", "0.10000000000000000001")
    assert len(json.dumps(problem.content)) < 5_000 and "\\u0000" not in json.dumps(kept)


@pytest.mark.parametrize("id_", [None, "", " ", "\u2007", 7, ["t1"], "x" * 501, "a\x00b"])
def test_an_id_that_could_tell_no_bookings_apart_is_none(
    service: Service, adapter: Ponto, id_: object
) -> None:
    service.says(said({"data": [{**booking(), "id": id_}, booking(id="t2")]}))
    assert [each.id for each in page(adapter).transactions] == ["", "t2"]


def test_a_booking_keeps_its_end_to_end_id_unless_the_bank_had_none(
    service: Service, adapter: Ponto
) -> None:
    said_ids = ["a965fa0788c2", "NOTPROVIDED", "notprovided ", " ", None, 7]
    service.says(said({"data": [booking(endToEndId=each) for each in said_ids]}))
    found = [each.end_to_end_id for each in page(adapter).transactions]
    assert found == ["a965fa0788c2", None, None, None, None, None]


# As Ibanity's own Java client has them in its tests (ponto-connect: transactions.json,
# pendingTransactions.json, accounts.json).
_SAMPLE_BOOKING = {
    "valueDate": "2020-06-19T00:00:00.000Z",
    "remittanceInformationType": "unstructured",
    "remittanceInformation": "Tempora animi qui!",
    "purposeCode": "CASH",
    "endToEndId": "a965fa0788c241f3b13df3fbda744a07",
    "description": "Wire transfer",
    "currency": "EUR",
    "counterpartReference": "BE62467153327786",
    "counterpartName": "Rice Ltd",
    "bankTransactionCode": "PMNT-IRCT-ESCT",
    "amount": 2.76,
    "additionalInformation": "Aut.",
    "cardReference": "6666",
    "fee": 3.14,
}


def test_a_booking_of_the_real_service(service: Service, adapter: Ponto) -> None:
    attributes = {**_SAMPLE_BOOKING, "executionDate": "2020-06-19T00:00:00.000Z"}
    id_ = "a4a47c21-b606-464f-ae17-f8e3af6772c9"
    service.says(said({"data": [{"type": "transaction", "id": id_, "attributes": attributes}]}))
    assert list(page(adapter).transactions) == [
        ProviderTransaction(
            id=id_,
            booked_on=date(2020, 6, 19),
            value_on=date(2020, 6, 19),
            amount=Decimal("2.76"),
            currency="EUR",
            counterparty_name="Rice Ltd",
            counterparty_iban="BE62467153327786",
            remittance="Tempora animi qui!",
            end_to_end_id="a965fa0788c241f3b13df3fbda744a07",
        )
    ]


def test_pending_bookings_of_the_real_service_are_read_to_the_last_page(
    service: Service, adapter: Ponto
) -> None:
    attributes = {**_SAMPLE_BOOKING, "executionDate": "2020-06-20T00:00:00.000Z"}
    first = {"type": "pendingTransaction", "id": "a4a47c21", "attributes": attributes}
    attributes = {**_SAMPLE_BOOKING, "valueDate": None, "amount": -3}
    undated = {**first, "id": "dbf7c5d4", "attributes": attributes}
    following = f"{service.origin}/api/accounts/a1/pending-transactions?after=dbf7c5d4"
    service.says(
        said({"data": [first], "links": {"next": following}}),
        said({"data": [first, {"id": "x", "attributes": {"currency": "EUR"}}, undated]}),
    )
    found = adapter.pending(TOKENS, account_ref="a1")
    assert service.asked[0][1].startswith("/api/accounts/a1/pending-transactions?")
    assert [(each.expected_on, each.amount, each.counterparty_name) for each in found] == [
        (date(2020, 6, 20), Decimal("2.76"), "Rice Ltd"),
        (None, Decimal(-3), "Rice Ltd"),
    ]


def test_pending_bookings_without_end_are_noticed(service: Service, adapter: Ponto) -> None:
    here = f"{service.origin}/api/accounts/a1/pending-transactions?page%5Blimit%5D=100"
    service.says(said({"data": [], "links": {"next": here}}))
    with pytest.raises(ContractViolation):
        adapter.pending(TOKENS, account_ref="a1")
    turns = iter(range(10**6))
    service.answer = lambda _m, _p: said(
        {"data": [booking(id="")] * 500, "links": {"next": f"{here}&n={next(turns)}"}}
    )
    with pytest.raises(ContractViolation):
        adapter.pending(TOKENS, account_ref="a1")
    assert next(turns) < 10


_SAMPLE_BALANCE = {
    "currentBalanceVariationObservedAt": "2020-09-17T12:30:23.467Z",
    "currentBalanceReferenceDate": "2020-06-20T00:00:00.000Z",
    "currentBalanceChangedAt": "2020-09-17T12:30:23.405Z",
    "currentBalance": 6386.04,
    "currency": "EUR",
}


def balance_of(service: Service, adapter: Ponto, **attributes: Any) -> StatedBalance | None:
    meta = {"synchronizedAt": "2019-09-02T11:28:36.551Z"}
    service.says(said({"data": [shown(attributes={**_SAMPLE_BALANCE, **attributes}, meta=meta)]}))
    (account,) = adapter.accounts(TOKENS)
    return account.balance


def test_the_balance_of_the_real_service_names_its_day(service: Service, adapter: Ponto) -> None:
    assert balance_of(service, adapter) == StatedBalance(
        Decimal("6386.04"),
        "EUR",
        date(2020, 6, 20),
        datetime(2019, 9, 2, 11, 28, 36, 551000, tzinfo=UTC),
    )
    yesterday_in_utc = {"currentBalanceReferenceDate": "2020-06-19T22:00:00.000Z"}
    stated = balance_of(service, adapter, **yesterday_in_utc)
    assert stated is not None and stated.on == date(2020, 6, 20)


@pytest.mark.parametrize(
    "attributes",
    [
        {"currentBalance": None},
        {"currentBalance": "6386.04"},
        {"currentBalance": True},
        {"currentBalance": 0.001},
        {"currentBalanceReferenceDate": None},
        {"currentBalanceReferenceDate": "gisteren"},
        {"currentBalanceReferenceDate": ["2020-06-20"]},
    ],
)
def test_a_balance_that_is_not_whole_is_none_and_hides_no_account(
    service: Service, adapter: Ponto, attributes: dict[str, Any]
) -> None:
    assert balance_of(service, adapter, **attributes) is None


@pytest.mark.parametrize(
    "item",
    [
        {**shown(), "id": None},
        shown(attributes={"reference": None}),
        shown(attributes={"reference": ["NL85"]}),
        shown(attributes={"currency": ""}),
        shown(attributes={"authorizedAt": "gisteren"}),
        shown(attributes={"authorizationExpirationExpectedAt": ["x"]}),
        shown(attributes={"authorizedAt": "0001-01-01T00:00:00+14:00"}),
        {**shown(), "attributes": ["IBAN"]},
        shown(meta=["x"]),
        shown(meta={"latestSynchronization": "failed"}),
        shown(meta={"latestSynchronization": {"attributes": {"errors": 3}}}),
        shown(meta={"availableFrom": "lang geleden"}),
    ],
)
def test_an_account_that_misses_something_is_a_contract_violation(
    service: Service, adapter: Ponto, item: dict[str, Any]
) -> None:
    service.says(said({"data": [item]}))
    with pytest.raises(ContractViolation):
        adapter.accounts(TOKENS)


def test_a_nicety_that_is_no_text_is_left_out(service: Service, adapter: Ponto) -> None:
    service.says(said({"data": [shown(attributes={"description": {"nl": "Zakelijk"}})]}))
    assert [each.name for each in adapter.accounts(TOKENS)] == [None]


def test_ids_stay_one_segment_of_the_path(service: Service, adapter: Ponto) -> None:
    service.says(said({"data": []}))
    adapter.transactions(TOKENS, account_ref="../a?x=1#y/ä", cursor=None)
    assert service.asked[-1][1].startswith("/api/accounts/..%2Fa%3Fx%3D1%23y%2F%C3%A4/transactions")
    for reference in ("", ".", ".."):
        with pytest.raises(ContractViolation):
            adapter.transactions(TOKENS, account_ref=reference, cursor=None)


def test_what_would_hide_an_account_is_refused_not_passed_over(
    service: Service, adapter: Ponto
) -> None:
    """An account that is left out by mistake reads as no longer shared."""
    for link in (7, True, [], {}, ["http://x"]):
        service.says(said({"data": [shown()], "links": {"next": link}}))
        with pytest.raises(ContractViolation):
            adapter.accounts(TOKENS)
    for attributes in ({"referenceType": 7}, {"referenceType": None}, {"deprecated": "false"}):
        service.says(said({"data": [shown(attributes=attributes)]}))
        with pytest.raises(ContractViolation):
            adapter.accounts(TOKENS)


def test_one_answer_brings_no_more_than_a_database_takes(service: Service, adapter: Ponto) -> None:
    service.says(said({"data": [booking(id=f"t{n}") for n in range(1_001)]}))
    with pytest.raises(ContractViolation):
        page(adapter)


def test_a_certificate_that_cannot_be_used_is_our_own_mistake(
    service: Service, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "gone.pem"):
        made = Ponto(
            PontoSettings(
                authorize_url=f"{service.origin}/oauth2/auth",
                token_url=f"{service.origin}/oauth2/token",
                api_url=f"{service.origin}/api",
                client_id="banklink",
                client_secret=SECRET,
                certificate=tmp_path / name,
                certificate_key=tmp_path / name,
            )
        )
        for act in _everything(made):
            with pytest.raises(ConfigurationError):
                act()
        assert made.check().code == "certificate_refused"


def test_the_services_words_reach_the_log_only_as_words(service: Service, adapter: Ponto) -> None:
    for code in ("x\nERROR forged", "y" * 5_000, 7, {"a": 1}):
        service.says(refusal(400, code))  # type: ignore[arg-type]
        with pytest.raises(ProviderError) as error:
            page(adapter)
        assert error.value.code == "http_400"
        service.says(said({"error": code}, 400))
        with pytest.raises(ProviderError) as error:
            adapter.refresh(TOKENS, real=NOW)
        assert len(error.value.code) <= 80 and error.value.code.isprintable()


# -- whatever the answer -------------------------------------------------------------------------

ODD: list[Any] = [
    None, True, 0, -1, 10**400, 1e308, "", " ", "x", "\x00", "\ud800", "0001-01-01",
    "9999-12-31T23:59:59.999Z", [], {}, [[]], {"x": {}}, ["x", 1], {"id": 7}, "../..", "http://",
]  # fmt: skip


def nodes(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, below in pairs:
        yield from nodes(below, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


GOOD: dict[str, Any] = {
    "account": {
        "data": [
            {
                **shown(meta={
                    "availability": "available",
                    "synchronizedAt": "2026-11-20T08:00:00.000Z",
                    "availableFrom": "2024-01-01",
                    "historyFrom": "2026-01-01",
                    "latestSynchronization": {
                        "attributes": {"status": "error", "errors": [{"code": "x"}]}
                    },
                }),
                "relationships": {"financialInstitution": {"data": {"id": "b1"}}},
            }
        ],
        "links": {"next": None},
    },
    "booking": {"data": [booking()], "links": {"next": None}},
    "token": {"access_token": "a", "refresh_token": "r", "expires_in": 1799},
    "person": {"sub": "s", "name": "Jan", "email": "jan@devries.example"},
    "step": {"data": {"id": "x", "attributes": {"status": "pending"}, "links": {"redirect": "https://b.example/x"}}},
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_only_the_contracts_exceptions_leave_whatever_is_odd(
    service: Service, adapter: Ponto, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node of a good answer, replaced by every oddity, heard by those who ask for it."""
    monkeypatch.setattr(ponto, "_SYNC_WAIT", 0.4)
    questions = _everything(adapter)
    asking = {"booking": [0, 10], "account": [1], "person": [2], "token": [3, 4], "step": [5, 6, 7]}
    for path in nodes(GOOD[name]):
        for value in ODD:
            try:
                content = json.dumps(changed(GOOD[name], path, value)).encode()
            except (TypeError, IndexError):
                continue
            service.says(said(content))
            for number in asking[name]:
                try:
                    questions[number]()
                except ProviderError:
                    continue


def test_extra_fields_are_no_violation(service: Service, adapter: Ponto) -> None:
    service.says(said({"data": [{**booking(brandNew=1), "extra": {}}], "jsonapi": {}}))
    assert [each.id for each in page(adapter).transactions] == ["t1"]


def test_a_huge_answer_is_not_swallowed(
    service: Service, adapter: Ponto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ponto, "_MOST_BYTES", 100_000)
    service.says(said(b'{"data": [], "x": "' + b"x" * 200_000 + b'"}'))
    with pytest.raises(ContractViolation) as violation:
        page(adapter)
    assert violation.value.code == "answer_too_large"


# -- what the answers mean -----------------------------------------------------------------------


def test_amounts_are_exact_to_the_last_digit(service: Service, adapter: Ponto) -> None:
    bookings = [
        json.dumps(booking()).replace("12.5", text)
        for text in ("0.1", "-1234567890123.45", "7", "1e2", "0.30000000000000000")
    ]
    service.says(said(f'{{"data": [{",".join(bookings)}]}}'.encode()))
    assert [each.amount for each in page(adapter).transactions] == [
        Decimal("0.1"),
        Decimal("-1234567890123.45"),
        Decimal(7),
        Decimal("1e2"),
        Decimal("0.3"),
    ]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-20", date(2026, 11, 20)),
        ("2026-11-20T00:00:00.000Z", date(2026, 11, 20)),
        ("2026-11-19T23:00:00.000Z", date(2026, 11, 20)),  # midnight in winter
        ("2026-11-19T22:59:59.999Z", date(2026, 11, 19)),
        ("2026-07-09T22:00:00.000Z", date(2026, 7, 10)),  # midnight in summer
        ("2026-07-09T21:59:59.999Z", date(2026, 7, 9)),
        ("2026-10-24T22:00:00Z", date(2026, 10, 25)),  # the night the clock goes back
        ("2026-10-25T22:59:00Z", date(2026, 10, 25)),
        ("2026-03-29T22:00:00Z", date(2026, 3, 30)),  # the day it went forward
        ("2026-11-20T00:30:00+01:00", date(2026, 11, 20)),
    ],
)
def test_a_booking_falls_on_its_dutch_day(
    service: Service, adapter: Ponto, text: str, day: date
) -> None:
    service.says(said({"data": [booking(executionDate=text, valueDate=None)]}))
    assert [each.booked_on for each in page(adapter).transactions] == [day]


def test_without_a_booking_day_the_value_day_counts(service: Service, adapter: Ponto) -> None:
    service.says(said({"data": [booking(executionDate=None)]}))
    (only,) = page(adapter).transactions
    assert (only.booked_on, only.value_on) == (date(2026, 11, 20), date(2026, 11, 20))


def test_an_account_as_the_service_shows_it(service: Service, adapter: Ponto) -> None:
    service.says(
        said({"data": [shown(attributes={"reference": "nl85 demo 0417 1643 00"})]}),
    )
    (account,) = adapter.accounts(TOKENS)
    assert (account.iban, account.ended, account.outage) == ("NL85DEMO0417164300", None, False)
    assert account.valid_until == datetime(2027, 4, 30, 21, 59, 59, 999000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("errors", "ended", "outage"),
    [
        ([{"code": "authorizationInvalid"}], "revoked", False),
        ([{"code": "authorizationExpired"}], "expired", False),
        ([{"code": "financialInstitutionUnavailable"}], None, True),
        ([], None, True),
    ],
)
def test_a_failed_synchronisation_says_whether_the_bank_refuses_or_is_down(
    service: Service, adapter: Ponto, errors: list[Any], ended: str | None, outage: bool
) -> None:
    sync = {"attributes": {"status": "error", "errors": errors}}
    service.says(said({"data": [shown(meta={"latestSynchronization": sync})]}))
    (account,) = adapter.accounts(TOKENS)
    assert (account.ended, account.outage) == (ended, outage)


def test_what_has_no_iban_is_left_out(service: Service, adapter: Ponto) -> None:
    card = shown(attributes={"referenceType": "maskedPan", "reference": "XXXX1234"})
    service.says(said({"data": [card, shown(attributes={"deprecated": True})]}))
    assert adapter.accounts(TOKENS) == []


# -- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/accounts",
        "http://127.0.0.1:1/api/accounts",
        "http://user@{netloc}/api/accounts",
        "http://{netloc}@evil.example/api/accounts",
        "https://{netloc}/api/accounts",
        "file:///etc/passwd",
    ],
)
def test_a_link_to_another_origin_gets_no_token(
    service: Service, adapter: Ponto, link: str
) -> None:
    link = link.format(netloc=service.origin.removeprefix("http://"))
    service.says(said({"data": [], "links": {"next": link}}))
    with pytest.raises(ContractViolation):
        adapter.accounts(TOKENS)
    with pytest.raises(ContractViolation):
        page(adapter, page(adapter).cursor)
    assert len(service.asked) == 2


def test_the_service_does_not_move_us_elsewhere(service: Service, adapter: Ponto) -> None:
    service.says(said(b"", 302, Location="https://evil.example/"))
    with pytest.raises(ProviderError):
        page(adapter)
    assert len(service.asked) == 1


def test_the_next_link_is_followed_and_asked_with_the_token(
    service: Service, adapter: Ponto
) -> None:
    following = f"{service.origin}/api/accounts/a1/transactions?page%5Bafter%5D=t1"
    service.says(said({"data": [booking()], "links": {"next": following}}), said({"data": []}))
    first = page(adapter)
    assert first.cursor == following
    assert page(adapter, first.cursor) == Page([], None, [])
    method, path, headers, _ = service.asked[-1]
    assert (method, path) == ("GET", "/api/accounts/a1/transactions?page%5Bafter%5D=t1")
    assert headers["Authorization"] == f"Bearer {ACCESS}"


def test_a_list_of_accounts_that_goes_round_is_noticed(service: Service, adapter: Ponto) -> None:
    loop = said({"data": [shown()], "links": {"next": f"{service.origin}/api/accounts?page=2"}})
    service.answer = lambda _m, _p: loop if len(service.asked) < 60 else said(b"", 500)
    with pytest.raises(ContractViolation):
        adapter.accounts(TOKENS)


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(401, "credentialsInvalid"), TokenRefused),
        (said(b"", 401), TokenRefused),
        (refusal(403, "forbidden"), TokenRefused),
        (refusal(403, "authorizationInvalid"), AuthorisationEnded),
        (refusal(400, "authorizationExpired"), AuthorisationEnded),
        (refusal(404, "resourceNotFound"), AccountNotFound),
        (said(b"<html>", 404), AccountNotFound),
        (refusal(429, "rateLimited"), RateLimited),
        (refusal(500, "internalServerError"), Temporary),
        (said(b"<html>Bad gateway</html>", 502), Temporary),
        (said(b"[" * 200_000, 503), Temporary),
        (said({"errors": "down"}, 503), Temporary),
        (said({"errors": []}, 500), Temporary),
        (refusal(409, "conflict"), ProviderError),
    ],
)
def test_a_refusal_is_read_by_its_code_then_its_status(
    service: Service, adapter: Ponto, answer: Answer, kind: type[ProviderError]
) -> None:
    service.says(answer)
    with pytest.raises(ProviderError) as error:
        page(adapter)
    assert type(error.value) is kind
    assert error.value.http_status == answer[0]


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry_After": "120"}, timedelta(minutes=2)),
        ({"Retry_After": "86400"}, timedelta(days=1)),
        ({}, None),
        ({"Retry_After": "straks"}, None),
        ({"Retry_After": "-5"}, None),
    ],
)
def test_too_many_questions_are_paused_as_asked(
    service: Service, adapter: Ponto, headers: dict[str, str], pause: timedelta | None
) -> None:
    service.says(refusal(429, "rateLimited", **headers))
    with pytest.raises(RateLimited) as error:
        page(adapter)
    assert error.value.retry_after == pause


def test_a_pause_is_heard_wherever_it_is_asked_for(service: Service, adapter: Ponto) -> None:
    for act in (lambda: page(adapter), lambda: adapter.refresh(TOKENS, real=NOW)):
        service.says(said({}, 429, Retry_After="120"))
        with pytest.raises(RateLimited) as limited:
            act()
        service.says(said({}, 503, Retry_After="120"))
        with pytest.raises(Temporary) as down:
            act()
        assert limited.value.retry_after == down.value.retry_after == timedelta(minutes=2)


def test_a_pause_may_be_a_date(service: Service, adapter: Ponto) -> None:
    until = datetime.now(UTC) + timedelta(minutes=5)
    service.says(refusal(429, "x", Retry_After=f"{until:%a, %d %b %Y %H:%M:%S} GMT"))
    with pytest.raises(RateLimited) as error:
        page(adapter)
    pause = error.value.retry_after
    assert pause is not None and timedelta(minutes=4) < pause < timedelta(minutes=6)


@pytest.mark.parametrize("text", ["9" * 30, "9" * 12, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_pause_does_not_stop_us_for_ever(
    service: Service, adapter: Ponto, text: str
) -> None:
    service.says(refusal(429, "rateLimited", Retry_After=text))
    with pytest.raises(RateLimited) as error:
        page(adapter)
    pause = error.value.retry_after
    assert pause is None or pause <= timedelta(days=7)


# -- nobody there --------------------------------------------------------------------------------


def _everything(adapter: Ponto) -> list[Callable[[], object]]:
    return [
        lambda: page(adapter),
        lambda: adapter.accounts(TOKENS),
        lambda: adapter.person(TOKENS),
        lambda: adapter.refresh(TOKENS, real=NOW),
        lambda: adapter.complete_grant(
            code=CODE, private={"verifier": VERIFIER}, redirect_uri="http://x/r", real=NOW
        ),
        lambda: adapter.begin_grant(
            redirect_uri="http://x/r", state="s", label="Bakkerij", reference="1"
        ),
        lambda: adapter.begin_authorisation(
            TOKENS, account_ref="a1", redirect_uri="http://x/r", state="s"
        ),
        lambda: adapter.synchronise(TOKENS, account_ref="a1", user_ip=None),
        lambda: adapter.revoke(TOKENS, subject="s", reference="1"),
        lambda: adapter.revoke(None, subject="s", reference="1"),
        lambda: adapter.pending(TOKENS, account_ref="a1"),
    ]


@pytest.fixture
def nobody() -> Iterator[Ponto]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    made = adapter_at(f"http://127.0.0.1:{port}")
    yield made
    made._client.close()


@pytest.mark.parametrize("which", range(10))
def test_a_service_that_is_not_there_is_temporary(nobody: Ponto, which: int) -> None:
    with pytest.raises(Temporary):
        _everything(nobody)[which]()


@pytest.mark.parametrize("which", range(10))
def test_a_service_in_trouble_is_temporary(service: Service, adapter: Ponto, which: int) -> None:
    for status in (500, 503):
        service.says(said(b"<html>Storing</html>", status))
        with pytest.raises(Temporary):
            _everything(adapter)[which]()


@pytest.mark.parametrize("which", [0, 3, 4, 8, 9])
def test_a_service_that_is_slow_or_hangs_up_is_temporary(
    service: Service, adapter: Ponto, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ponto, "_TIMEOUT", httpx2.Timeout(0.1))

    def slow(_m: str, _p: str) -> Answer:
        time.sleep(0.25)
        return said({})

    service.answer = slow
    with pytest.raises(Temporary):
        _everything(adapter)[which]()
    service.says(said(b'{"data"', Content_Length="500", Connection="close"))
    with pytest.raises(Temporary):
        _everything(adapter)[which]()


# -- tokens --------------------------------------------------------------------------------------


def test_a_refresh_brings_the_next_pair(service: Service, adapter: Ponto) -> None:
    service.says(said({"access_token": "a2", "refresh_token": "r2", "expires_in": 1799}))
    new = adapter.refresh(TOKENS, real=NOW)
    assert (new.access_token, new.refresh_token) == ("a2", "r2")
    assert new.access_expires_at == NOW + timedelta(seconds=1799)
    _, path, headers, body = service.asked[-1]
    assert path == "/oauth2/token"
    assert headers["Authorization"].startswith("Basic ")
    assert b"grant_type=refresh_token" in body and SECRET.encode() not in body


def test_an_answer_without_a_new_refresh_token_lets_the_old_one_live(
    service: Service, adapter: Ponto
) -> None:
    service.says(said({"access_token": "a2", "expires_in": 1799}))
    assert adapter.refresh(TOKENS, real=NOW).refresh_token == REFRESH


def test_only_invalid_grant_means_withdrawn(service: Service, adapter: Ponto) -> None:
    for status, code, kind in [
        (400, "invalid_grant", GrantRevoked),
        (401, "invalid_client", ConfigurationError),
        (400, "unauthorized_client", ConfigurationError),
        (400, "temporarily_unavailable", Temporary),
        (400, "slow_down", Temporary),
    ]:
        service.says(said({"error": code}, status))
        with pytest.raises(ProviderError) as error:
            adapter.refresh(TOKENS, real=NOW)
        assert type(error.value) is kind, code


def test_a_refused_code_is_not_a_withdrawn_grant(service: Service, adapter: Ponto) -> None:
    service.says(said({"error": "invalid_grant"}, 400))
    with pytest.raises(CallbackInvalid):
        adapter.complete_grant(
            code=CODE, private={"verifier": VERIFIER}, redirect_uri="http://x/r", real=NOW
        )


@pytest.mark.parametrize(
    "content",
    [
        b"<html>Even geduld</html>",
        b"",
        b"[]",
        b"null",
        b'"token"',
        b"7",
        b"{}",
        b'{"access_token": null, "expires_in": 1}',
        b'{"access_token": 5, "expires_in": 1}',
        b'{"access_token": "a"}',
        b'{"access_token": "a", "expires_in": null}',
        b'{"access_token": "a", "expires_in": 0}',
        b'{"access_token": "a", "expires_in": -5}',
        b'{"access_token": "a", "expires_in": "straks"}',
        b'{"access_token": "a", "expires_in": NaN}',
        b'{"access_token": "a", "expires_in": 100, "refresh_token": {"x": 1}}',
        b"[" * 200_000,
    ],
)
def test_a_token_answer_that_is_none_is_a_contract_violation(
    service: Service, adapter: Ponto, content: bytes
) -> None:
    """Never a crash, and never a withdrawn grant."""
    service.says(said(content))
    with pytest.raises(ContractViolation):
        adapter.refresh(TOKENS, real=NOW)


@pytest.mark.parametrize("status", [302, 307, 400, 403])
def test_a_token_in_an_answer_that_says_no_is_no_token(
    service: Service, adapter: Ponto, status: int
) -> None:
    token = {"access_token": "a", "refresh_token": "r", "expires_in": 100}
    service.says(said(token, status, Location="/elsewhere"))
    with pytest.raises(ContractViolation):
        adapter.refresh(TOKENS, real=NOW)


def test_a_packed_token_answer_is_not_unpacked(service: Service, adapter: Ponto) -> None:
    token = json.dumps({"access_token": "a", "expires_in": 100, "x": "x" * 100_000}).encode()
    service.says(said(gzip.compress(token), Content_Encoding="gzip"))
    with pytest.raises(ContractViolation):
        adapter.refresh(TOKENS, real=NOW)


def test_no_new_refresh_token_by_name_lets_the_old_one_live(
    service: Service, adapter: Ponto
) -> None:
    service.says(said({"access_token": "a", "refresh_token": None, "expires_in": 100}))
    assert adapter.refresh(TOKENS, real=NOW).refresh_token == REFRESH


def test_tokens_take_the_same_way_out_as_everything_else(
    service: Service, adapter: Ponto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a machine reaches the world through a proxy, both must."""
    monkeypatch.setenv("HTTP_PROXY", service.origin)
    elsewhere = adapter_at("http://ponto.invalid")
    service.says(said({"access_token": "a", "expires_in": 100}))
    assert elsewhere.refresh(TOKENS, real=NOW).access_token == "a"
    service.says(said({"data": []}))
    assert elsewhere.accounts(TOKENS) == []
    assert [path for _, path, _, _ in service.asked] == [
        "http://ponto.invalid/oauth2/token",
        "http://ponto.invalid/api/accounts?page%5Blimit%5D=100",
    ]
    elsewhere.close()


def test_an_answer_that_drips_ends(
    service: Service, adapter: Ponto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the answer does not."""
    monkeypatch.setattr(ponto, "_MOST_SECONDS", 0.5)
    with dripping() as origin:
        slow = adapter_at(origin)
        for act in (lambda: page(slow), lambda: slow.refresh(TOKENS, real=NOW)):
            began = time.monotonic()
            with pytest.raises(Temporary):
                act()
            assert time.monotonic() - began < 5
        slow.close()


@contextmanager
def dripping() -> Iterator[str]:
    """Answers at once, then a byte every tenth of a second, for ten seconds."""
    stop = threading.Event()

    def talk(caller: socket.socket) -> None:
        with caller, suppress(OSError):
            caller.recv(65_536)
            caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            for _ in range(100):
                if stop.wait(0.1):
                    return
                caller.sendall(b" ")

    def serve() -> None:
        with suppress(OSError):
            while True:
                caller, _ = listening.accept()
                threads.append(threading.Thread(target=talk, args=(caller,)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        door = threading.Thread(target=serve)
        door.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stop.set()
            listening.shutdown(socket.SHUT_RDWR)
            for each in (door, *threads):
                each.join()


def test_a_huge_token_answer_is_not_swallowed(
    service: Service, adapter: Ponto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ponto, "_MOST_BYTES", 100_000)
    answer = {"access_token": "a", "expires_in": 100, "x": "x" * 200_000}
    service.says(said(answer))
    with pytest.raises(ContractViolation):
        adapter.refresh(TOKENS, real=NOW)


def test_a_token_for_a_very_long_time_is_refreshed_daily(service: Service, adapter: Ponto) -> None:
    service.says(said({"access_token": "a", "expires_in": 10**12}))
    assert adapter.refresh(TOKENS, real=NOW).access_expires_at <= NOW + timedelta(days=1)


# -- departures ----------------------------------------------------------------------------------


def test_every_departure_has_a_fresh_verifier_and_only_its_hash_travels(
    service: Service, adapter: Ponto
) -> None:
    token, details = {"access_token": "c", "expires_in": 100}, {"data": {"id": "d1"}}
    service.answer = lambda _m, path: said(token if path == "/oauth2/token" else details)
    made = [
        adapter.begin_grant(redirect_uri="http://x/r", state="s1", label="B", reference="1")
        for _ in range(2)
    ]
    verifiers = {each.private["verifier"] for each in made}
    assert len(verifiers) == 2
    for each in made:
        assert 43 <= len(each.private["verifier"]) <= 128
        assert each.private["verifier"] not in each.url
        assert "code_challenge_method=S256" in each.url and "onboarding_details_id=d1" in each.url


@pytest.mark.parametrize(
    "link",
    [None, "", "javascript:alert(1)", "data:text/html,x", "//evil.example", 7],
)
def test_nobody_is_sent_to_an_address_that_is_none(
    service: Service, adapter: Ponto, link: object
) -> None:
    service.says(said({"data": {"links": {"redirect": link}}}, 201))
    with pytest.raises(ContractViolation):
        adapter.begin_authorisation(TOKENS, account_ref="a1", redirect_uri="http://x/r", state="s")


def test_asking_the_bank_waits_but_not_for_ever(service: Service, adapter: Ponto) -> None:
    service.says(said({"data": {"id": "s1", "attributes": {"status": "running"}}}))
    adapter.synchronise(TOKENS, account_ref="a1", user_ip="192.0.2.1")
    assert b'"customerIpAddress": "192.0.2.1"' in service.asked[0][3]
    assert 10 < len(service.asked) < 100


def test_a_bank_that_was_asked_just_now_is_no_failure(service: Service, adapter: Ponto) -> None:
    service.says(refusal(400, "accountRecentlySynchronized"))
    adapter.synchronise(TOKENS, account_ref="a1", user_ip=None)


# -- secrets -------------------------------------------------------------------------------------


@contextmanager
def every_logger_loud() -> Iterator[None]:
    """At DEBUG, and as it was afterwards: other tests rely on what is kept quiet."""
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def test_no_secret_reaches_a_log_or_an_exception(
    service: Service, adapter: Ponto, caplog: pytest.LogCaptureFixture
) -> None:
    told = []
    token = {"access_token": "canary-new", "refresh_token": "canary-newer", "expires_in": 100}
    with caplog.at_level(logging.DEBUG), every_logger_loud():
        for answer in (said(token), said({"error": "invalid_grant"}, 400), said(b"x", 500)):
            service.says(answer)
            for act in _everything(adapter):
                try:
                    act()
                except Exception as error:
                    told.append(f"{error!r} {error.__cause__!r} {error.__dict__}")
    assert any(record.name.startswith("http") for record in caplog.records), "the log is heard"
    heard = "\n".join([*told, caplog.text, *(repr(record.__dict__) for record in caplog.records)])
    assert "canary" not in heard


def test_no_secret_in_a_repr() -> None:
    env = {
        "BANKLINK_SECRET_KEY": "canary" * 6,
        "BANKLINK_ENCRYPTION_KEYS": "Y2FuYXJ5" * 5 + "Y2E=",
        "BANKLINK_PONTO_AUTHORIZE_URL": "https://a.example/auth",
        "BANKLINK_PONTO_TOKEN_URL": "https://a.example/token",
        "BANKLINK_PONTO_API_URL": "https://a.example/api",
        "BANKLINK_PONTO_CLIENT_ID": "banklink",
        "BANKLINK_PONTO_CLIENT_SECRET": SECRET,
    }
    settings = load(env)
    assert settings.ponto is not None
    for value in (
        TOKENS,
        Departure("https://a.example", {"verifier": VERIFIER}),
        Ponto(settings.ponto),
        settings.ponto,
        settings,
    ):
        assert "canary" not in repr(value), type(value).__name__
        assert "Y2FuYXJ5" not in repr(value), type(value).__name__
