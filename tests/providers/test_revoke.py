"""Telling the service that a permission ends: what counts as told, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from banklink.providers import ponto as adapters
from banklink.providers.contract import (
    ConfigurationError,
    ContractViolation,
    Credentials,
    ProviderError,
    RateLimited,
    Temporary,
)
from banklink.providers.ponto import Ponto

from .test_ponto import ACCESS, NOW, REFRESH, SECRET, TOKENS, Answer, Service, adapter_at, said


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


@pytest.fixture
def adapter(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ponto]:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    made = adapter_at(service.origin)
    yield made
    made.close()


def revoke(adapter: Ponto, tokens: Credentials | None = TOKENS) -> None:
    adapter.revoke(tokens, subject="org-1", reference="books of De Vries")


def test_the_refresh_token_is_given_back_and_nothing_secret_stands_in_the_address(
    service: Service, adapter: Ponto
) -> None:
    revoke(adapter)
    ((method, path, headers, body),) = service.asked
    assert (method, path) == ("POST", "/oauth2/revoke")
    assert parse_qs(body.decode()) == {"token": [REFRESH], "token_type_hint": ["refresh_token"]}
    assert headers["Authorization"].startswith("Basic ")
    assert SECRET.encode() not in body and ACCESS.encode() not in body


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b""),
        (200, {"Content-Type": "application/json"}, b"{}"),
        (204, {}, b""),
        said({"error": "invalid_token"}, 400),
        said({"error": "invalid_grant"}, 400),
    ],
)
def test_done_or_gone_already_is_done(service: Service, adapter: Ponto, answer: Answer) -> None:
    service.says(answer)
    revoke(adapter)
    revoke(adapter)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said({"error": "invalid_client"}, 401), ConfigurationError),
        (said({"error": "unauthorized_client"}, 400), ConfigurationError),
        (said({"error": "invalid_token"}, 401), ConfigurationError),
        (said(b"", 403), ConfigurationError),
        (said({"error": "unsupported_token_type"}, 400), ContractViolation),
        (said({"error": "invalid_request"}, 400), ContractViolation),
        (said(b"<html>Niet gevonden</html>", 404), ContractViolation),
        (said(b"[]", 400), ContractViolation),
        ((302, {"Location": "https://elsewhere.example/"}, b""), ContractViolation),
        ((200, {"Content-Type": "text/html"}, b"<html>Onderhoud</html>"), ContractViolation),
        (said(b"<html>Storing</html>", 503), Temporary),
        (said({"error": "slow_down"}, 429), RateLimited),
    ],
)
def test_anything_else_is_not_taken_for_done(
    service: Service, adapter: Ponto, answer: Answer, kind: type[ProviderError]
) -> None:
    service.says(answer)
    with pytest.raises(ProviderError) as error:
        revoke(adapter)
    assert type(error.value) is kind
    assert REFRESH not in str(error.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_asks_for_a_pause_gets_it(
    service: Service, adapter: Ponto, status: int
) -> None:
    service.says(said({}, status, Retry_After="600"))
    with pytest.raises(ProviderError) as error:
        revoke(adapter)
    assert error.value.retry_after == timedelta(minutes=10)


def test_an_endless_answer_is_cut_off(
    service: Service, adapter: Ponto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "_MOST_BYTES", 1_000)
    service.says(said(b"x" * 5_000))
    with pytest.raises(ContractViolation):
        revoke(adapter)


# -- without the token ---------------------------------------------------------------------------


def answering(last: Answer) -> Any:
    """A client token first, then this."""
    token = said({"access_token": "client-token", "expires_in": 1799})
    return lambda _method, path: token if path == "/oauth2/token" else last


LOST = Credentials("", None, NOW)


@pytest.mark.parametrize("tokens", [None, LOST])
def test_without_the_token_the_integration_of_this_administration_ends(
    service: Service, adapter: Ponto, tokens: Credentials | None
) -> None:
    service.answer = answering(said({"data": {"type": "integration", "id": "i1"}}))
    revoke(adapter, tokens)
    method, path, headers, _ = service.asked[-1]
    parts = urlsplit(path)
    assert (method, parts.path) == ("DELETE", "/api/organizations/org-1/integration")
    assert parse_qs(parts.query) == {"filter[partnerReference][eq]": ["books of De Vries"]}
    assert headers["Authorization"] == "Bearer client-token"


def test_an_integration_that_is_gone_is_gone_but_a_wrong_address_says_nothing(
    service: Service, adapter: Ponto
) -> None:
    service.answer = answering(said({"errors": [{"code": "resourceNotFound"}]}, 404))
    revoke(adapter, None)
    for status, kind in ((404, ContractViolation), (403, ConfigurationError), (500, Temporary)):
        service.answer = answering(said(b"<html></html>", status))
        with pytest.raises(kind):
            revoke(adapter, None)


def test_a_name_of_theirs_stays_one_segment_of_the_path(service: Service, adapter: Ponto) -> None:
    service.answer = answering(said({}))
    adapter.revoke(None, subject="../x?y", reference="1")
    assert service.asked[-1][1].startswith("/api/organizations/..%2Fx%3Fy/integration?")
