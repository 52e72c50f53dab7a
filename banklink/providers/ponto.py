"""Ponto Connect (providers.md §2): OAuth 2 code + PKCE with rotating refresh tokens, JSON:API.

The same adapter reaches the embedded entrepreneur app and the real service; only addresses,
credentials and client certificate differ (BANKLINK_PONTO_…). Errors are classified by the body's
code first and the status second; a 401 never means "revoked" by itself: only a refused refresh
(`invalid_grant`) does.

Whatever the service answers, nothing but a ProviderError leaves a public method: wrong types are
refused where they are read, answers and lists are bounded, and what is still not understood is a
ContractViolation (`_understood`).
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache, wraps
from typing import Any, ParamSpec, TypeGuard, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

import httpx2

from banklink.core.calendar import amsterdam_day
from banklink.core.money import to_minor
from banklink.providers.contract import (
    AccountNotFound,
    AuthorisationEnded,
    CallbackInvalid,
    ConfigurationError,
    ContractViolation,
    Credentials,
    CursorRefused,
    Departure,
    GrantRevoked,
    Page,
    PendingBooking,
    Person,
    ProviderAccount,
    ProviderError,
    ProviderTransaction,
    RateLimited,
    StatedBalance,
    Temporary,
    TokenRefused,
    Unreadable,
)
from banklink.providers.origin import origin
from banklink.providers.trial import Finding, trouble
from banklink.settings import PontoSettings

log = logging.getLogger(__name__)

_SCOPE = "offline_access ai"
_TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
_MOST_BYTES = 20 * 1024 * 1024
_PAGE = 100
_MOST_PAGES = 200
_MOST_ITEMS = 1_000
"""In one answer, though a hundred were asked for: a database takes only so many at once."""
_MOST_LETTERS = 500
"""Of an id or a name."""
_MOST_BANKS = 50
_MOST_PENDING = 2_000
_MOST_PARTS = 50
"""Of one thing kept as evidence."""
_MOST_MONEY = 2**63
"""Minor units that a database counts with."""
_NO_REFERENCE = "NOTPROVIDED"
"""What ISO 20022 has a payer's bank write where there is no end-to-end id."""
_MOST_SECONDS = 40.0
"""Well within the lease of a refresh (actions/credentials.py)."""
_SYNC_WAIT = 10.0
_TRIAL_TIMEOUT = httpx2.Timeout(10.0, connect=5.0)
_TRIAL_SECONDS = 10.0
_TRIAL_BYTES = 1024 * 1024
_ENDED = {"authorizationInvalid": "revoked", "authorizationExpired": "expired"}


Given = ParamSpec("Given")
Made = TypeVar("Made")


def _understood(method: Callable[Given, Made]) -> Callable[Given, Made]:
    """An answer that trips our reading of it is the service's fault, not a crash of ours: the log
    has the place, the caller a ContractViolation."""

    @wraps(method)
    def careful(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        try:
            return method(*args, **kwargs)
        except ProviderError:
            raise
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
            httpx2.InvalidURL,
        ) as error:
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place else "?"
            log.warning("%s: %s at %s", method.__name__, type(error).__name__, where)
            raise ContractViolation("answer_not_understood") from None

    return careful


class Ponto:
    """One registered application at one Ponto Connect service."""

    id = "ponto"
    ids_stable = True  # UUIDs of the service's own (providers.md 2.4)

    def __init__(
        self,
        settings: PontoSettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        tls: ssl.SSLContext | None = None,
    ):
        """`tls`: a context that already holds the client certificate, instead of its files."""
        self._settings = settings
        self._sleep = sleep
        self._given_tls = tls
        self.issuer = settings.issuer
        self.authorize_url = settings.authorize_url

    def close(self) -> None:
        """Let go of the connections that are kept open between calls."""
        if "_client" in self.__dict__:
            self._client.close()

    # -- permission of the holder -------------------------------------------------------------

    @_understood
    def begin_grant(
        self,
        *,
        redirect_uri: str,
        state: str,
        label: str,
        reference: str,
        wanted: Sequence[str] = (),
        email: str | None = None,
        agreed: bool = False,
    ) -> Departure:
        """Where the holder gives permission for one administration. `label` is its name as the
        holder sees it, `reference` the name that stays. `wanted` are the IBANs it is about, `email`
        the address of who was asked; `agreed`: they said yes to exactly this on a page of ours, so
        a form that is complete need not be shown again.

        The accounts go along as a hint that names no whole IBAN: it stands in an address. A service
        that does not know it ignores it (RFC 6749 §3.1)."""
        details = self._onboarding(label=label, reference=reference, email=email, agreed=agreed)
        hint = {"account_hint": " ".join(f"{each[4:8]}{each[-4:]}" for each in wanted)}
        from authlib.common.security import generate_token

        verifier = generate_token(64)
        with self._oauth(redirect_uri=redirect_uri, scope=_SCOPE) as client:
            url, _ = client.create_authorization_url(
                self._settings.authorize_url,
                state=state,
                code_verifier=verifier,
                onboarding_details_id=details,
                **(hint if wanted else {}),
            )
        return Departure(url, {"verifier": verifier})

    @_understood
    def complete_grant(
        self, *, code: str, private: Mapping[str, str], redirect_uri: str, real: datetime
    ) -> Credentials:
        """Redeem the code. Raises CallbackInvalid when it is refused."""
        token = self._token(
            lambda client: client.fetch_token(
                self._settings.token_url,
                grant_type="authorization_code",
                code=code,
                code_verifier=private["verifier"],
                redirect_uri=redirect_uri,
            ),
            refused=CallbackInvalid,
        )
        return self._credentials(token, real=real, previous=None)

    @_understood
    def refresh(self, credentials: Credentials, *, real: datetime) -> Credentials:
        """The next pair. The caller stores it before using it, one refresh at a time per grant.
        Raises GrantRevoked when the service refuses the refresh token."""
        if credentials.refresh_token is None:
            raise GrantRevoked("no_refresh_token")
        token = self._token(
            lambda client: client.refresh_token(
                self._settings.token_url, refresh_token=credentials.refresh_token
            ),
            refused=GrantRevoked,
        )
        return self._credentials(token, real=real, previous=credentials.refresh_token)

    @_understood
    def revoke(self, credentials: Credentials | None, *, subject: str, reference: str) -> None:
        """End what a holder allowed; what is gone already is no error, so it may be said again.

        The refresh token names exactly one permission, for one administration (RFC 7009), and
        permissions given since live on. Without it (None, or lost) all that is left is to end the
        integration of the holder's organisation (`subject`), and the real service knows only one
        of these: the caller sees to it that nothing else hangs on it. `reference` narrows it down
        to one administration where a service understands that, as the embedded app does."""
        if credentials is not None and credentials.refresh_token is not None:
            self._revoke_token(credentials.refresh_token)
        else:
            self._end_integration(subject, reference)

    def _revoke_token(self, refresh_token: str) -> None:
        try:
            with self._client.stream(
                "POST",
                urljoin(self._settings.token_url, "revoke"),
                data={"token": refresh_token, "token_type_hint": "refresh_token"},
                auth=(self._settings.client_id, self._settings.client_secret),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as response:
                content = _read(response)
        except httpx2.HTTPError as error:
            raise Temporary(type(error).__name__) from None
        status = response.status_code
        details: dict[str, Any] = {"http_status": status}
        if response.is_success:
            # The answer has no content that matters; a page made for people is no answer.
            if "html" in response.headers.get("content-type", ""):
                raise ContractViolation("revocation_answered_by_a_page", **details)
            return
        try:
            code = _code(_parse(content).get("error")) or f"revoke_http_{status}"
        except ContractViolation:
            code = f"revoke_http_{status}"
        if status == 400 and code in ("invalid_token", "invalid_grant"):
            return  # gone already; not every service keeps to RFC 7009 §2.2
        if status == 429:
            raise RateLimited(code, retry_after=_retry_after(response), **details)
        if code in ("invalid_client", "unauthorized_client") or status in (401, 403):
            raise ConfigurationError(code, **details)
        if status >= 500:
            raise Temporary(code, retry_after=_retry_after(response), **details)
        raise ContractViolation(code, **details)

    def _end_integration(self, subject: str, reference: str) -> None:
        token = self._token(
            lambda client: client.fetch_token(
                self._settings.token_url, grant_type="client_credentials"
            ),
            refused=ConfigurationError,
        )
        narrowed = urlencode({"filter[partnerReference][eq]": reference})
        try:
            self._send(
                "DELETE",
                f"/organizations/{_in_path(subject)}/integration?{narrowed}",
                token["access_token"],
                None,
            )
        except AccountNotFound as error:
            if error.code != "resourceNotFound":  # a wrong address is no answer about anything
                raise ContractViolation(error.code, http_status=error.http_status) from None
        except TokenRefused as error:
            raise ConfigurationError(error.code, http_status=error.http_status) from None

    @_understood
    def person(self, credentials: Credentials) -> Person:
        answer = self._get("/userinfo", credentials)
        return Person(
            subject=_text(answer, "sub"),
            name=_text(answer, "name"),
            email=_words(answer.get("email")),
        )

    # -- accounts -----------------------------------------------------------------------------

    @_understood
    def accounts(self, credentials: Credentials) -> Sequence[ProviderAccount]:
        """Every account the holder shares, whatever its authorisation."""
        banks: dict[str, str | None] = {}
        found: list[ProviderAccount] = []
        url: str | None = f"{self._settings.api_url}/accounts?{urlencode({'page[limit]': _PAGE})}"
        asked: set[str] = set()
        while url is not None:
            if url in asked or len(asked) >= _MOST_PAGES:
                raise ContractViolation("accounts_without_end")
            asked.add(url)
            answer = self._get(url, credentials)
            for item in _items(answer):
                account = self._account(item, credentials, banks)
                if account is not None:
                    found.append(account)
            url = _next(answer)
        return found

    @_understood
    def begin_authorisation(
        self, credentials: Credentials, *, account_ref: str, redirect_uri: str, state: str
    ) -> str:
        """The address of the bank step for one account; the state travels in our redirect
        address, where it comes back untouched."""
        answer = self._send(
            "POST",
            f"/accounts/{_in_path(account_ref)}/reauthorization-requests",
            credentials.access_token,
            {
                "data": {
                    "type": "reauthorizationRequest",
                    "attributes": {"redirectUri": f"{redirect_uri}?{urlencode({'state': state})}"},
                }
            },
        )
        try:
            url = answer["data"]["links"]["redirect"]
        except (KeyError, TypeError):
            raise ContractViolation("reauthorization_without_link") from None
        if not isinstance(url, str) or not _is_web_address(url):
            raise ContractViolation("reauthorization_link_not_http")
        return url

    @_understood
    def synchronise(
        self, credentials: Credentials, *, account_ref: str, user_ip: str | None
    ) -> None:
        """Ask the bank for news now, because a person is waiting (their address goes along), and
        wait a little. What came of it is read from the account afterwards."""
        attributes: dict[str, Any] = {
            "resourceType": "account",
            "resourceId": account_ref,
            "subtype": "accountTransactions",
        }
        if user_ip is not None:
            attributes["customerIpAddress"] = user_ip
        try:
            answer = self._send(
                "POST",
                "/synchronizations",
                credentials.access_token,
                {"data": {"type": "synchronization", "attributes": attributes}},
            )
        except ProviderError as refused:
            if refused.code == "accountRecentlySynchronized":
                return
            raise
        waited = 0.0
        while _status(answer) in ("pending", "running") and waited < _SYNC_WAIT:
            self._sleep(0.2)
            waited += 0.2
            answer = self._get(
                f"/synchronizations/{_in_path(_text(_object(answer.get('data')), 'id'))}",
                credentials,
            )

    @_understood
    def transactions(
        self, credentials: Credentials, *, account_ref: str, cursor: str | None
    ) -> Page:
        """One page of booked transactions, newest first. `cursor` is the service's own next link,
        followed only within its origin. A booking that misses what it needs is told apart; a
        page whose frame is wrong is refused."""
        url = cursor or self._bookings(account_ref, "transactions")
        try:
            answer = self._get(url, credentials)
        except ProviderError as error:
            if cursor is None or error.http_status not in (400, 404, 410, 422):
                raise
            if isinstance(error, AuthorisationEnded):
                raise
            # Without it the first page will tell whether it is the account that is gone.
            raise CursorRefused(error.code, http_status=error.http_status) from None
        read: list[ProviderTransaction] = []
        unreadable: list[Unreadable] = []
        for item in _items(answer):
            try:
                read.append(_transaction(item))
            except ContractViolation as error:
                unreadable.append(Unreadable(error.code, _evidence(item)))
        spoken = _object(answer.get("meta")).get("synchronizedAt")
        return Page(read, _next(answer), unreadable, _instant(spoken))

    @_understood
    def pending(self, credentials: Credentials, *, account_ref: str) -> Sequence[PendingBooking]:
        """What the bank has announced, all of it. What cannot be read of that is left out: it will
        be told again, at the latest when it is booked."""
        found: list[PendingBooking] = []
        url: str | None = self._bookings(account_ref, "pending-transactions")
        asked: set[str] = set()
        known: set[str] = set()
        while url is not None:
            if url in asked or len(asked) >= _MOST_PAGES or len(found) > _MOST_PENDING:
                raise ContractViolation("pending_without_end")
            asked.add(url)
            answer = self._get(url, credentials)
            for item in _items(answer):
                if (number := _id(item)) in known:
                    continue  # a page said once more
                if number:
                    known.add(number)
                try:
                    found.append(_announced(item))
                except ContractViolation as error:
                    log.info("a pending booking left out: %s", error.code)
            url = _next(answer)
        return found

    def _bookings(self, account_ref: str, which: str) -> str:
        """Where the first page of them is."""
        account = f"{self._settings.api_url}/accounts/{_in_path(account_ref)}"
        return f"{account}/{which}?{urlencode({'page[limit]': _PAGE})}"

    # -- the wire -----------------------------------------------------------------------------

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made once: reading the authorities' certificates costs more than most calls."""
        if self._given_tls is not None:
            return self._given_tls
        if self._settings.certificate is None:
            return httpx2.create_ssl_context()
        context = ssl.create_default_context()
        try:
            context.load_cert_chain(
                self._settings.certificate,
                self._settings.certificate_key,
                password="",  # a protected key is refused; by default it would ask the terminal
            )
        except OSError:  # a missing file, or ssl.SSLError for what is in it
            raise ConfigurationError("certificate_unusable") from None
        return context

    @cached_property
    def _client(self) -> httpx2.Client:
        return httpx2.Client(timeout=_TIMEOUT, verify=self._tls, follow_redirects=False)

    @contextmanager
    def _oauth(self, **kwargs: Any) -> Iterator[Any]:
        """Its answers are read by the library, whole: `_limited` bounds them on the way."""
        from authlib.integrations.httpx_client import OAuth2Client

        logging.getLogger("authlib").setLevel(logging.INFO)  # at DEBUG it logs whole tokens
        with OAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 (a method, no secret)
            code_challenge_method="S256",
            timeout=_TIMEOUT,
            verify=self._tls,
            event_hooks={"response": [_limited]},
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
            **kwargs,
        ) as client:
            yield client

    def _token(
        self, ask: Callable[[Any], Mapping[str, Any]], *, refused: type[ProviderError]
    ) -> Mapping[str, Any]:
        from authlib.integrations.base_client import OAuthError

        try:
            with self._oauth() as client:
                token = ask(client)
        except OAuthError as error:
            code = _code(error.error) or "token_refused"
            if code == "invalid_grant":
                raise refused(code) from None
            if code in ("invalid_client", "unauthorized_client", "invalid_scope"):
                raise ConfigurationError(code) from None
            raise Temporary(code) from None
        except httpx2.HTTPStatusError as error:
            raise Temporary(
                f"token_http_{error.response.status_code}",
                http_status=error.response.status_code,
                retry_after=_retry_after(error.response),
            ) from None
        except httpx2.HTTPError as error:
            raise Temporary(type(error).__name__) from None
        except (ValueError, RecursionError):
            raise ContractViolation("token_answer_not_json") from None
        if not isinstance(token, Mapping):
            raise ContractViolation("token_answer_incomplete")
        for name in ("access_token", "refresh_token"):
            value = token.get(name)
            if value is None and name == "refresh_token":
                continue  # the one we have lives on
            if not isinstance(value, str) or not value.isascii() or not value.isprintable():
                raise ContractViolation(f"token_answer_{name}")
        return token

    @staticmethod
    def _credentials(
        token: Mapping[str, Any], *, real: datetime, previous: str | None
    ) -> Credentials:
        """A service that sends no new refresh token lets the old one live on."""
        seconds = token.get("expires_in")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ContractViolation("token_expires_in")
        refresh = token.get("refresh_token") or previous
        return Credentials(
            token["access_token"], refresh, real + timedelta(seconds=float(min(seconds, 86_400)))
        )

    def _onboarding(self, *, label: str, reference: str, email: str | None, agreed: bool) -> str:
        """Prefills the holder's screen with the administration's name; usable for 5 minutes."""
        attributes: dict[str, str | bool] = {
            "organizationName": label,
            "partnerReference": reference,
        }
        if email is not None:
            attributes["email"] = email
        if agreed:
            attributes["automaticSubmissionOnCompletedForms"] = True
        token = self._token(
            lambda client: client.fetch_token(
                self._settings.token_url, grant_type="client_credentials"
            ),
            refused=ConfigurationError,
        )
        answer = self._send(
            "POST",
            "/onboarding-details",
            token["access_token"],
            {
                "data": {
                    "type": "onboardingDetails",
                    "attributes": attributes,
                }
            },
        )
        try:
            return str(answer["data"]["id"])
        except (KeyError, TypeError):
            raise ContractViolation("onboarding_without_id") from None

    def _get(self, path: str, credentials: Credentials) -> dict[str, Any]:
        return self._send("GET", path, credentials.access_token, None)

    def _send(
        self, method: str, path: str, token: str, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        url = path if "://" in path else f"{self._settings.api_url}{path}"
        if origin(url) != origin(self._settings.api_url):
            raise ContractViolation("link_to_another_origin")
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.api+json"}
        if body is not None:
            headers["Content-Type"] = "application/vnd.api+json"
        try:
            with self._client.stream(
                method, url, headers=headers, content=json.dumps(body) if body else None
            ) as response:
                content = _read(response)
        except httpx2.HTTPError as error:
            raise Temporary(type(error).__name__) from None
        if response.is_success:
            return _parse(content)
        raise _refusal(response, content)

    def _account(
        self, item: Mapping[str, Any], credentials: Credentials, banks: dict[str, str | None]
    ) -> ProviderAccount | None:
        """None for what has no IBAN (cards, e-money): Banklink matches on the IBAN."""
        attributes, meta = _object(item.get("attributes")), _object(item.get("meta"))
        # To leave an account out by mistake would read as "no longer shared".
        if not isinstance(attributes.get("referenceType"), str):
            raise ContractViolation("missing_referenceType")
        if not isinstance(attributes.get("deprecated"), bool | None):
            raise ContractViolation("deprecated_not_a_truth")
        if attributes.get("referenceType") != "IBAN" or attributes.get("deprecated"):
            return None
        sync = _object(_object(meta.get("latestSynchronization")).get("attributes"))
        errors = sync.get("errors") or []
        if not isinstance(errors, list):
            raise ContractViolation("errors_not_a_list")
        codes = {str(error.get("code")) for error in errors if isinstance(error, Mapping)}
        ended = next((word for code, word in _ENDED.items() if code in codes), None)
        failed = sync.get("status") == "error" and ended is None
        return ProviderAccount(
            ref=_text(item, "id"),
            iban=_text(attributes, "reference").replace(" ", "").upper(),
            currency=_text(attributes, "currency"),
            name=_words(attributes.get("description")) or _words(attributes.get("product")),
            bank=self._bank(item, credentials, banks),
            authorised_at=_instant(attributes.get("authorizedAt")),
            valid_until=_instant(attributes.get("authorizationExpirationExpectedAt")),
            ended=ended,
            outage=failed or meta.get("availability") == "readonly",
            synchronized_at=_instant(meta.get("synchronizedAt")),
            available_from=_day(meta.get("availableFrom")),
            history_from=_day(meta.get("historyFrom")),
            balance=_balance(attributes, meta),
        )

    def _bank(
        self, item: Mapping[str, Any], credentials: Credentials, banks: dict[str, str | None]
    ) -> str | None:
        try:
            bank_id = str(item["relationships"]["financialInstitution"]["data"]["id"])
        except (KeyError, TypeError):
            return None
        if bank_id not in banks and len(banks) >= _MOST_BANKS:
            return None
        if bank_id not in banks:
            try:
                answer = self._get(f"/financial-institutions/{_in_path(bank_id)}", credentials)
                banks[bank_id] = _words(answer["data"]["attributes"]["name"])
            except (ProviderError, KeyError, TypeError):
                banks[bank_id] = None  # a name is a nicety; its absence must not stop the rest
        return banks[bank_id]

    # -- does it work? ------------------------------------------------------------------------

    def check(self) -> Finding:
        """Try every address with our own credentials; no holder and no bank is involved."""
        where = "token"
        try:
            status, content = self._try(
                "POST",
                self._settings.token_url,
                data={"grant_type": "client_credentials"},
                auth=(self._settings.client_id, self._settings.client_secret),
                headers={"Accept": "application/json"},
            )
            token = _token_of(status, content)
            if isinstance(token, Finding):
                return token
            where = "api"
            status, content = self._try(
                "GET",
                f"{self._settings.api_url}/financial-institutions?page[limit]=1",
                headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.api+json"},
            )
            if status != 200:
                return Finding(_unexpected(status), where)
            _items(_parse(content))
            where = "authorize"
            status, _ = self._try("GET", self._settings.authorize_url)
            if status in (404, 429) or status >= 500:
                return Finding(_unexpected(status), where)
        except httpx2.HTTPError as error:
            return Finding(trouble(error), where)
        except ConfigurationError:
            return Finding("certificate_refused", where)
        except (ContractViolation, UnicodeError, httpx2.InvalidURL):
            return Finding("not_understood", where)
        return Finding("works")

    def _try(self, method: str, url: str, **more: Any) -> tuple[int, bytes]:
        """Status and content of what may be any server at all: one that pours or drips without end
        is cut off."""
        content, end = bytearray(), time.monotonic() + _TRIAL_SECONDS
        with self._client.stream(method, url, timeout=_TRIAL_TIMEOUT, **more) as answer:
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > _TRIAL_BYTES:
                    raise ContractViolation("answer_too_large")
                if time.monotonic() > end:
                    raise httpx2.ReadTimeout("no whole answer in time")
            return answer.status_code, bytes(content)


def _token_of(status: int, content: bytes) -> str | Finding:
    try:
        body = _parse(content)
    except ContractViolation:
        body = {}
    if isinstance(token := body.get("access_token"), str) and 200 <= status < 300:
        return token
    refused = body.get("error") in ("invalid_client", "unauthorized_client")
    if refused or status == 401:
        return Finding("invalid_client", "token")
    return Finding(_unexpected(status), "token")


def _unexpected(status: int) -> str:
    if status >= 500:
        return "outage"
    known = {401: "forbidden", 403: "forbidden", 404: "not_found", 429: "busy"}
    return known.get(status, "not_understood")


def _limited(response: httpx2.Response) -> None:
    """Before a token answer is read: neither packed (a limit on packed bytes is none) nor a
    redirect, and cut off at a size and a time."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ContractViolation("token_answer_packed")
    if response.status_code == 429:
        raise RateLimited("token_http_429", http_status=429, retry_after=_retry_after(response))
    if 300 <= response.status_code < 400:
        raise ContractViolation("token_answer_status")
    response.stream = _Limited(response.stream, refused=not response.is_success)


class _Limited(httpx2.SyncByteStream):
    """`refused`: the status says no, whatever the body says; then it may hold no token."""

    def __init__(self, stream: Any, *, refused: bool):
        self._stream, self._refused = stream, refused

    def __iter__(self) -> Iterator[bytes]:
        content = _bounded(self._stream)
        if self._refused and b"access_token" in content:
            raise ContractViolation("token_answer_status")
        yield content

    def close(self) -> None:
        self._stream.close()


def _read(response: httpx2.Response) -> bytes:
    return _bounded(response.iter_bytes())


def _bounded(chunks: Iterable[bytes]) -> bytes:
    """All of an answer, unless it is too much or drips for too long: each byte in time is not yet
    an answer in time."""
    content, end = bytearray(), time.monotonic() + _MOST_SECONDS
    for chunk in chunks:
        content += chunk
        if len(content) > _MOST_BYTES:
            raise ContractViolation("answer_too_large")
        if time.monotonic() > end:
            raise Temporary("answer_too_slow")
    return bytes(content)


def _parse(content: bytes) -> dict[str, Any]:
    if not content:
        return {}
    try:
        answer = json.loads(content, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, ArithmeticError, RecursionError):
        raise ContractViolation("answer_not_json") from None
    if not isinstance(answer, dict):
        raise ContractViolation("answer_not_an_object")
    return answer


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _refusal(response: httpx2.Response, content: bytes) -> ProviderError:
    """The exception for an answer that is not a success: body code first, status second."""
    code = f"http_{response.status_code}"
    try:
        errors = json.loads(content)["errors"]
        code = _code(errors[0]["code"]) or code
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    details: dict[str, Any] = {
        "http_status": response.status_code,
        "request_id": _code(response.headers.get("ibanity-request-id")),
    }
    if code in _ENDED:
        return AuthorisationEnded(_ENDED[code], **details)
    if code == "resourceNotFound" or response.status_code == 404:
        return AccountNotFound(code, **details)
    if response.status_code == 429:
        return RateLimited(code, retry_after=_retry_after(response), **details)
    if response.status_code >= 500:
        return Temporary(code, retry_after=_retry_after(response), **details)
    if response.status_code in (401, 403):
        return TokenRefused(code, **details)
    return ProviderError(code, **details)


def _code(word: object) -> str | None:
    """A word of the service as our log takes it; anything longer or stranger is none."""
    return word if isinstance(word, str) and re.fullmatch(r"[\w.:-]{1,80}", word, re.A) else None


def _retry_after(response: httpx2.Response) -> timedelta | None:
    """Seconds, or an HTTP date read against the answer's own clock."""
    text = response.headers.get("retry-after", "")
    if text.isdecimal():
        return timedelta(seconds=min(int(text[:9]), 7 * 86_400))
    try:
        moment = parsedate_to_datetime(text)
        pause = moment - parsedate_to_datetime(response.headers["date"])
        return min(max(pause, timedelta(0)), timedelta(days=7))
    except (TypeError, ValueError, KeyError, ArithmeticError):
        return None


def _items(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise ContractViolation("data_not_a_list")
    if len(data) > _MOST_ITEMS:
        raise ContractViolation("too_many_items")
    return data


def _next(answer: Mapping[str, Any]) -> str | None:
    links = answer.get("links") or {}
    if not isinstance(links, dict):
        raise ContractViolation("links_not_an_object")
    link = links.get("next")
    if link is not None and not isinstance(link, str):
        raise ContractViolation("next_not_a_link")  # taken for the end it would hide what follows
    return link or None


def _status(answer: Mapping[str, Any]) -> str | None:
    return _words(_object(_object(answer.get("data")).get("attributes")).get("status"))


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object; what is absent or null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ContractViolation("not_an_object")
    return value


def _in_path(reference: str) -> str:
    """An id of theirs as one segment of a path, whatever is in it."""
    if not reference or not reference.strip("."):
        raise ContractViolation("id_not_usable")
    return quote(reference, safe="")


def _is_web_address(url: str) -> bool:
    """An address a person can be sent to."""
    parts = urlsplit(url)
    return (
        parts.scheme in ("https", "http")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and url.isprintable()
        and " " not in url
    )


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    if _is_plain(value) and not value.isspace() and 0 < len(value) <= _MOST_LETTERS:
        return value
    text = _storable(value)
    if text is None or not text.strip() or text != value or len(text) > _MOST_LETTERS:
        raise ContractViolation(f"missing_{key}")
    return text


def _instant(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value if isinstance(value, str) else "")
        instant = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ContractViolation("not_a_time") from None
    return _of_our_times(instant)


def _day(value: object) -> date | None:
    """A Dutch day, from a date or from an instant: a booking at midnight in Amsterdam is the day
    before in UTC (providers.md 2.7)."""
    if value is None:
        return None
    return _day_of(value if isinstance(value, str) else "")


@lru_cache(maxsize=2_000)
def _day_of(text: str) -> date | None:
    """Bookings of a page share their days."""
    try:
        if len(text) == 10:
            return _of_our_times(date.fromisoformat(text))
    except ValueError:
        raise ContractViolation("not_a_date") from None
    instant = _instant(text)
    return amsterdam_day(instant) if instant else None


Day = TypeVar("Day", date, datetime)


def _of_our_times(day: Day) -> Day:
    """Days far outside a bank's life are no days: reckoning with them leaves the calendar."""
    if not 1900 <= day.year <= 2200:
        raise ContractViolation("not_of_our_times")
    return day


def _transaction(item: Mapping[str, Any]) -> ProviderTransaction:
    attributes = _object(item.get("attributes"))
    booked_on = _day(attributes.get("executionDate"))
    value_on = _day(attributes.get("valueDate"))
    if booked_on is None:
        booked_on = value_on
    if booked_on is None:
        raise ContractViolation("transaction_without_date")
    amount, currency, minor = _money(attributes, "amount")
    text = attributes.get("remittanceInformation") or attributes.get("description")
    return ProviderTransaction(
        _id(item),
        booked_on,
        value_on,
        amount,
        currency,
        _booked_words(attributes.get("counterpartName")),
        _booked_words(attributes.get("counterpartReference")),
        _booked_words(text) or "",
        _reference(attributes.get("endToEndId")),
        minor,
    )


def _announced(item: Mapping[str, Any]) -> PendingBooking:
    attributes = _object(item.get("attributes"))
    amount, currency, _minor = _money(attributes, "amount")
    return PendingBooking(
        expected_on=_day(attributes.get("executionDate")) or _day(attributes.get("valueDate")),
        amount=amount,
        currency=currency,
        counterparty_name=_words(attributes.get("counterpartName")),
        counterparty_iban=_words(attributes.get("counterpartReference")),
        remittance=_words(attributes.get("remittanceInformation"))
        or _words(attributes.get("description"))
        or "",
    )


def _balance(attributes: Mapping[str, Any], meta: Mapping[str, Any]) -> StatedBalance | None:
    """What the account holds, where the service says it whole. Anything less is no balance: better
    none to compare with than one that was guessed."""
    try:
        amount, currency, _minor = _money(attributes, "currentBalance")
        on = _day(attributes.get("currentBalanceReferenceDate"))
        at = _instant(meta.get("synchronizedAt"))
    except ContractViolation:
        return None
    return StatedBalance(amount, currency, on, at) if on is not None else None


def _money(attributes: Mapping[str, Any], name: str) -> tuple[Decimal, str, int]:
    """An amount and its currency, that fit each other: never more digits than the currency has.
    And the same in minor units."""
    amount = attributes.get(name)
    if isinstance(amount, bool) or not isinstance(amount, (Decimal, int)):
        raise ContractViolation(f"no_{name}")
    currency = _text(attributes, "currency")
    exact = Decimal(amount)
    try:
        minor = to_minor(exact, currency)
    except ValueError:
        raise ContractViolation("amount_not_exact") from None
    if abs(minor) >= _MOST_MONEY:
        raise ContractViolation("amount_too_large")
    return exact, currency, minor


def _id(item: Mapping[str, Any]) -> str:
    """The bank's id of a booking; what could not tell bookings apart is none."""
    try:
        return _text(item, "id")
    except ContractViolation:
        return ""


def _reference(value: object) -> str | None:
    if value is None:
        return None
    text = value.strip() if _is_plain(value) else (_words(value) or "").strip()
    return text if text and text.upper() != _NO_REFERENCE else None


def _evidence(value: Any, depth: int = 3) -> Any:
    """What the service sent, for a person to look at: as JSON that every database takes, digits as
    they stood, and cut where it is endless."""
    if isinstance(value, str):
        return (_storable(value) or "")[:_MOST_LETTERS]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return str(value)[:_MOST_LETTERS]
    if depth and isinstance(value, dict):
        some = list(value.items())[:_MOST_PARTS]
        return {_evidence(key): _evidence(each, depth - 1) for key, each in some}
    if depth and isinstance(value, list):
        return [_evidence(each, depth - 1) for each in value[:_MOST_PARTS]]
    return "…"


def _booked_words(value: object) -> str | None:
    """A text of a booking: part of its identity, so anything but a text is refused, not dropped."""
    if value is None or _is_plain(value):
        return value
    if not isinstance(value, str):
        raise ContractViolation("booking_text_not_a_text")
    return _storable(value)


def _words(value: object) -> str | None:
    """A text that may be missing; anything else in its place counts as missing."""
    text = _storable(value)
    return text if text and text.strip() else None


def _is_plain(value: object) -> TypeGuard[str]:
    """Nearly every text: nothing in it that a database, or a person, might not take."""
    return type(value) is str and value.isascii() and value.isprintable()


def _storable(text: object) -> str | None:
    """A text as every database takes it: no NUL, no half characters."""
    if not isinstance(text, str):
        return None
    if _is_plain(text):
        return text
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
