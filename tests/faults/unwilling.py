"""A service of Ponto's shape that can be told to misbehave at one place, over real HTTP, and the
thirty ways in which services do (security.md 4.5)."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

POINTS = ("token", "accounts", "synchronise", "first", "later", "pending", "balances")
"""Where it may happen: the account list is asked for when somebody waits, and for its balances when
nobody does; bookings come in a first page and later ones."""

PAGE = 2
HANGS = 0.6
"""Seconds; longer than the callers under test wait."""


@dataclass
class Answer:
    """What would be said if all were well, as it can be bent."""

    body: dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode()


@dataclass
class AtTheBank:
    """One account. `rows` newest first: id, day, amount (cents), text."""

    ref: str
    iban: str
    synchronized_at: datetime
    rows: list[tuple[str, date, int, str]]
    coming: list[int] = field(default_factory=list)
    opening: int = 10_000


Raw = Callable[["Handler", Answer], None]
Bend = Callable[["Unwilling", str, str, Answer], Answer]


@dataclass(frozen=True)
class Kind:
    """`raw` speaks on the line by itself, `bend` changes an answer, `elsewhere` is where the call
    ends up instead. `pause`: what the caller was asked to wait; zero: without saying how long."""

    name: str
    bend: Bend | None = None
    raw: Raw | None = None
    elsewhere: str | None = None
    pause: timedelta | None = None


class Unwilling:
    """Serves one case after the other; `kind` happens at `point` as long as they are set."""

    def __init__(self) -> None:
        self.kind: Kind | None = None
        self.point = ""
        self.account: AtTheBank | None = None
        self.asked: list[str] = []
        self.tokens = 0
        self.accepted = ""
        self.ended = False
        self.page_before: list[Any] = []
        service = self

        class Bound(Handler):
            unwilling = service

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Bound)
        self.port = self._server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # -- what is so ---------------------------------------------------------------------------

    def proper(self, method: str, path: str, bearer: str) -> Answer:
        place = urlsplit(path)
        if place.path == "/oauth2/token":
            self.tokens += 1
            self.accepted = f"access-{self.tokens}"
            return Answer(
                {"access_token": self.accepted, "refresh_token": "refresh", "expires_in": 1799}
            )
        if bearer != self.accepted:
            return refusal(401, "credentialsInvalid")
        account = self.account
        assert account is not None
        if place.path == "/api/synchronizations":
            return Answer({"data": {"id": "s1", "attributes": {"status": "success"}}}, 201)
        if place.path == "/api/accounts":
            return Answer({"data": [self._shown(account)], "links": {}})
        meta = {"synchronizedAt": account.synchronized_at.isoformat()}
        if place.path.endswith("/pending-transactions"):
            coming = [self._row(f"p{n}", None, n, "komt") for n in account.coming]
            return Answer({"data": coming, "links": {}, "meta": meta})
        start = int(parse_qs(place.query).get("after", ["0"])[0])
        rows = account.rows[start : start + PAGE]
        links = {}
        if start + PAGE < len(account.rows):
            following = f"/api/accounts/{account.ref}/transactions?after={start + PAGE}"
            links = {"next": self.origin + following}
        return Answer({"data": [self._row(*row) for row in rows], "links": links, "meta": meta})

    def _shown(self, account: AtTheBank) -> dict[str, Any]:
        on = account.synchronized_at.date() - timedelta(days=1)
        held = account.opening + sum(row[2] for row in account.rows if row[1] <= on)
        return {
            "id": account.ref,
            "attributes": {
                "referenceType": "IBAN",
                "reference": account.iban,
                "currency": "EUR",
                "authorizedAt": "2026-11-01T09:00:00Z",
                "authorizationExpirationExpectedAt": "2027-04-30T21:59:59Z",
                "currentBalance": float(Decimal(held).scaleb(-2)),
                "currentBalanceReferenceDate": on.isoformat(),
            },
            "meta": {"synchronizedAt": account.synchronized_at.isoformat()},
        }

    @staticmethod
    def _row(id_: str, day: date | None, amount: int, text: str) -> dict[str, Any]:
        return {
            "id": id_,
            "attributes": {
                "amount": float(Decimal(amount).scaleb(-2)),
                "currency": "EUR",
                "executionDate": day.isoformat() if day else None,
                "remittanceInformation": text,
            },
        }

    def point_of(self, method: str, path: str) -> str:
        place = urlsplit(path)
        if place.path == "/oauth2/token":
            return "token"
        if method == "POST":
            return "synchronise"
        if place.path == "/api/accounts":
            return "balances" if self.point == "balances" else "accounts"
        if place.path.endswith("/pending-transactions"):
            return "pending"
        return "later" if "after=" in place.query else "first"


class Handler(BaseHTTPRequestHandler):
    """One request a connection: whatever happens to one, the next begins afresh."""

    protocol_version = "HTTP/1.0"
    wbufsize = -1
    unwilling: Unwilling

    def _all(self) -> None:
        service = self.unwilling
        self.rfile.read(int(self.headers.get("content-length") or 0))
        service.asked.append(self.path)
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        point = service.point_of(self.command, self.path)
        kind = service.kind if point == service.point else None
        if kind is not None and kind.name == "timeout before it is done":
            time.sleep(HANGS)
            return
        proper = service.proper(self.command, self.path, bearer)
        if proper.status < 300 and kind is not None and kind.raw is not None:
            kind.raw(self, proper)
            return
        if proper.status < 300 and kind is not None and kind.bend is not None:
            proper = kind.bend(service, point, self.path, proper)
        if point == "first" or point == "later":
            service.page_before = list(proper.body.get("data") or ())
        self.say(proper.content, proper.status, **proper.headers)

    do_GET = do_POST = _all

    def say(self, content: bytes, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.send_response_only(status)
        named.setdefault("Date", format_datetime(datetime.now(UTC), usegmt=True))
        named.setdefault("Content-Type", "application/vnd.api+json")
        named.setdefault("Content-Length", str(len(content)))
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


def refusal(status: int, code: str, **headers: str) -> Answer:
    body = {"errors": [{"code": code, "detail": "…"}]}
    return Answer(body, status, {name.replace("_", "-"): each for name, each in headers.items()})


# -- the thirty -----------------------------------------------------------------------------------


def _says(content: bytes, status: int = 200, **headers: str) -> Raw:
    def raw(handler: Handler, _proper: Answer) -> None:
        handler.say(content, status, **headers)

    return raw


def _hangs(_handler: Handler, _proper: Answer) -> None:
    time.sleep(HANGS)


def _drips(handler: Handler, proper: Answer) -> None:
    end = time.monotonic() + HANGS * 2
    handler.say(b"", Content_Length=str(len(proper.content) + 1_000))
    while time.monotonic() < end:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.03)


def _breaks_off(handler: Handler, proper: Answer) -> None:
    """Half of it, and then the connection is reset."""
    half = proper.content[: len(proper.content) // 2]
    handler.say(half, Content_Length=str(len(proper.content)))
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def _truncated(handler: Handler, proper: Answer) -> None:
    handler.say(proper.content[: len(proper.content) * 2 // 3])


def _wrong_charset(handler: Handler, proper: Answer) -> None:
    content = json.dumps({**proper.body, "x": "é"}, ensure_ascii=False).encode("latin-1")
    handler.say(content, Content_Type="application/vnd.api+json; charset=utf-8")


def _no_number(_service: Unwilling, point: str, _path: str, proper: Answer) -> Answer:
    """Not a number where the whole answer is one thing; of one booking an amount beyond any."""
    if point == "token":
        return replace(proper, body={**proper.body, "expires_in": float("nan")})
    if point in ("first", "later", "pending"):
        first, *others = proper.body["data"]
        huge = {**first, "attributes": {**first["attributes"], "amount": 10**30}}
        return replace(proper, body={**proper.body, "data": [huge, *others]})
    return replace(proper, body={**proper.body, "x": float("nan")})


def _missing_field(_service: Unwilling, point: str, _path: str, proper: Answer) -> Answer:
    if point == "token":
        return replace(proper, body={"token_type": "bearer"})
    if point == "synchronise":
        return replace(proper, body={"data": {}})
    first, *others = proper.body["data"]
    gone = {"currency", "executionDate"} - ({"executionDate"} if point == "accounts" else set())
    kept = {name: each for name, each in first["attributes"].items() if name not in gone}
    return replace(proper, body={**proper.body, "data": [{**first, "attributes": kept}, *others]})


def _extra_field(_service: Unwilling, _point: str, _path: str, proper: Answer) -> Answer:
    extra = {"новое": [1, {"x": None}], "included": [{"type": "surprise"}]}
    return replace(proper, body={**proper.body, **extra})


def _page_again(service: Unwilling, point: str, _path: str, proper: Answer) -> Answer:
    """What the page before held comes once more before its own."""
    data = proper.body.get("data")
    if not isinstance(data, list) or point in ("accounts", "balances"):
        return proper
    before = service.page_before if point == "later" else data
    return replace(proper, body={**proper.body, "data": [*before, *data]})


def _nothing_yet(service: Unwilling, _point: str, path: str, proper: Answer) -> Answer:
    """An empty page that leads to the real one."""
    if not isinstance(proper.body.get("data"), list) or "again=" in path:
        return proper
    onward = f"{service.origin}{path}{'&' if '?' in path else '?'}again=1"
    return replace(proper, body={**proper.body, "data": [], "links": {"next": onward}})


def _in_circles(service: Unwilling, _point: str, path: str, proper: Answer) -> Answer:
    return replace(proper, body={**proper.body, "links": {"next": service.origin + path}})


def _skewed(_service: Unwilling, _point: str, _path: str, proper: Answer) -> Answer:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    headers = {**proper.headers, "Date": format_datetime(ahead, usegmt=True)}
    return replace(_moved(proper, timedelta(hours=1)), headers=headers)


def _moved(proper: Answer, by: timedelta) -> Answer:
    """The provider says that it spoke to the bank so much later."""
    body = json.loads(json.dumps(proper.body))
    places = [body, *(each for each in body.get("data") or () if isinstance(each, dict))]
    for place in places:
        told = (place.get("meta") or {}).get("synchronizedAt")
        if told:
            later = datetime.fromisoformat(told) + by
            place["meta"]["synchronizedAt"] = later.isoformat()
    return replace(proper, body=body)


def _balance_later(_service: Unwilling, point: str, _path: str, proper: Answer) -> Answer:
    """The account list was written later than the bookings, and knows of more money."""
    if point not in ("accounts", "balances"):
        return proper
    moved = _moved(proper, timedelta(minutes=7))
    for each in moved.body["data"]:
        each["attributes"]["currentBalance"] += 99
    return moved


def _old_token(service: Unwilling, point: str, path: str, proper: Answer) -> Answer:
    """The token ends just here; the next one is good."""
    if point == "token" or service.ended:
        return proper
    service.ended = True
    service.accepted += " no more"
    return refusal(401, "credentialsInvalid")


def _refused(status: int, code: str, **headers: str) -> Bend:
    def bend(_service: Unwilling, point: str, _path: str, _proper: Answer) -> Answer:
        if point == "token" and code == "authorizationInvalid":
            return Answer({"error": "invalid_grant"}, 400)
        return replace(refusal(status, code), headers={k.replace("_", "-"): v for k, v in headers.items()})  # fmt: skip

    return bend


def _in_turn(*statuses: int) -> Bend:
    """One after the other, with a pause that the last one asks for."""

    def bend(service: Unwilling, _point: str, _path: str, _proper: Answer) -> Answer:
        status = statuses[len(service.asked) % len(statuses)]
        return replace(refusal(status, "internalServerError"), headers={"Retry-After": "1800"})

    return bend


def _until(pause: timedelta) -> Bend:
    def bend(_service: Unwilling, _point: str, _path: str, _proper: Answer) -> Answer:
        now = datetime.now(UTC) + timedelta(hours=3)  # their clock, not ours
        date_header = format_datetime(now, usegmt=True)
        until = format_datetime(now + pause, usegmt=True)
        return replace(
            refusal(429, "tooManyRequests"), headers={"Date": date_header, "Retry-After": until}
        )

    return bend


_HTML = b"<!doctype html><title>Onderhoud</title><p>Even geduld a.u.b."

KINDS = (
    Kind("connection refused", elsewhere="closed"),
    Kind("name not found", elsewhere="nowhere"),
    Kind("TLS error", elsewhere="tls"),
    Kind("timeout before it is done"),
    Kind("timeout after it was done", raw=_hangs),
    Kind("slow drip", raw=_drips),
    Kind("reset in the middle", raw=_breaks_off),
    Kind("a page for people", raw=_says(_HTML, Content_Type="text/html")),
    Kind("truncated JSON", raw=_truncated),
    Kind("wrong charset", raw=_wrong_charset),
    Kind("no number or a huge one", bend=_no_number),
    Kind("missing field", bend=_missing_field),
    Kind("extra field", bend=_extra_field),
    Kind("a page twice", bend=_page_again),
    Kind("an empty page with a next one", bend=_nothing_yet),
    Kind("a cursor that goes round", bend=_in_circles),
    Kind("a cursor that has expired", bend=_refused(400, "invalidAttribute")),
    Kind("token expired on the way", bend=_old_token),
    Kind("401 twice", bend=_refused(401, "credentialsInvalid")),
    Kind("403 consent revoked", bend=_refused(403, "authorizationInvalid")),
    Kind("404 account gone", bend=_refused(404, "resourceNotFound")),
    Kind("409", bend=_refused(409, "conflict")),
    Kind("429 for seconds", bend=_refused(429, "tooManyRequests", Retry_After="5400"), pause=timedelta(minutes=90)),
    Kind("429 until a date", bend=_until(timedelta(hours=2)), pause=timedelta(hours=2)),
    Kind("429 without saying how long", bend=_refused(429, "tooManyRequests"), pause=timedelta()),
    Kind("429 for a day", bend=_refused(429, "tooManyRequests", Retry_After="86400"), pause=timedelta(days=1)),
    Kind("500, 502, 503", bend=_in_turn(500, 502, 503)),
    Kind("maintenance", raw=_says(_HTML, 503, Content_Type="text/html", Retry_After="1800")),
    Kind("a clock an hour ahead", bend=_skewed),
    Kind("a balance later than the bookings", bend=_balance_later),
)  # fmt: skip
