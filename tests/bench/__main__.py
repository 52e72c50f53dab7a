"""Measurements: ours against a floor, both in the same run. `ONLY=name` for one family of them.

A floor does the unavoidable part alone: the same indexed queries and the same template, or the same
durable inserts. Times on a shared machine are noisy, so ours and the floor are timed by turns, what is
served in processor time of the process that serves (visit.Served.spent), everything about waiting and
the slowest in a hundred by the wall. The ratio is what counts. Nothing here is a test.
"""

from __future__ import annotations

import os
import time

from flask import Flask, g, render_template
from sqlalchemy import delete, event, insert, select

import app as composition
from banklink import clock as clocks
from banklink.actions.check import check_expiries
from banklink.actions.fetch import fetch
from banklink.actions.summarise import rewrite_due
from banklink.core.calendar import end_of_validity
from banklink.demo import BOOKKEEPER
from banklink.providers import ponto
from banklink.providers.contract import Page, ProviderAccount
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    Coverage,
    Grant,
    Holder,
    Journal,
    Membership,
    User,
from tests.bench import (
    alone,
    camt,
    expiries,
    fetching,
    list_of_many,
    office,
    page,
    refresh,
    row,
    start,
    together,
)
from tests.bench.results import show, write

ADMINISTRATIONS = int(os.environ.get("BENCH_ADMINISTRATIONS", "200"))
ROWS = 50
TRANSACTIONS = int(os.environ.get("BENCH_TRANSACTIONS", "20000"))
AUTHORISATIONS = int(os.environ.get("BENCH_AUTHORISATIONS", "100000"))
Result = dict[str, Any]


@contextmanager
def house() -> Iterator[composition.Banklink]:
    with tempfile.TemporaryDirectory() as folder:
        parts = composition.build(settings_for(Path(folder)))
        try:
            yield parts
        finally:
            parts.services.store.engine.dispose()
            parts.simulator.extensions["simulator"].close()  # type: ignore[union-attr]


def fill(parts: composition.Banklink, administrations: int, rows: int) -> None:
    """So many administrations with so many connections each, one holder apiece."""
    at = clocks.read(parts.clock)
    with parts.services.store.write() as session:
        session.add(User(id=1, name=BOOKKEEPER[0], email=BOOKKEEPER[1]))
        ids = range(1, administrations + 1)

        def put(model: Any, values: list[dict[str, Any]]) -> None:
            session.execute(insert(model), values)

        put(Administration, [{"id": n, "reference": f"a{n}", "name": f"Firma {n}"} for n in ids])
        put(Membership, [{"user_id": 1, "administration_id": 1, "role": "bookkeeper"}])
        put(
            Holder,
            [{"id": n, "provider": "ponto", "subject": f"s{n}", "name": f"H {n}"} for n in ids],
        )
        put(
            Grant,
            [
                {
                    "id": n,
                    "administration_id": n,
                    "holder_id": n,
                    "state": "active",
                    "granted_at": at.now,
                    "credentials_version": 0,
                    "failures": 0,
                }
                for n in ids
            ],
        )
        spots = [(n, row, f"NL00TEST{n:05d}{row:05d}") for n in ids for row in range(rows)]
        put(
            Journal,
            [
                {
                    "administration_id": n,
                    "code": str(1000 + row),
                    "name": f"Bank {row}",
                    "iban": iban,
                    "currency": "EUR",
                }
                for n, row, iban in spots
            ],
        )
        until = [at.now + timedelta(days=days) for days in (-9, 9, 40, 120)]
        put(
            Account,
            [
                {
                    "grant_id": n,
                    "iban": iban,
                    "currency": "EUR",
                    "ref": iban,
                    "name": "Zakelijke rekening",
                    "bank": "Demobank",
                    "listed": True,
                    "listed_at": at.now,
                    "authorised_at": at.now - timedelta(days=90),
                    "valid_until": until[row % 4],
                    "expires_at": end_of_validity(until[row % 4]),
                    "expiry_noted": row % 4 == 0,
                }
                for n, row, iban in spots
            ],
        )
        put(
            Connection,
            [
                {
                    "administration_id": n,
                    "iban": iban,
                    "currency": "EUR",
                    "version": 1,
                    "switch": "on",
                    "selected_id": n,
                    "start_date": at.today,
                    "switched_at": at.now,
                    "switched_by": "Sanne",
                    "armed": False,
                    "last_success": at.now,
                    "last_new": 3,
                    "failures": 0,
                    "noted": "r4" if row % 4 == 0 else "r6",
                }
                for n, row, iban in spots
            ],
        )


def seconds(work: Callable[[], Any], times: int) -> list[float]:
    work()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return found


def page() -> list[Result]:
    """The maintenance page and one row, against their SQL and template alone."""
    with house() as parts:
        fill(parts, ADMINISTRATIONS, ROWS)
        client = parts.web.test_client()

        def get(path: str) -> None:
            answer = client.get(path, base_url="http://localhost")
            assert answer.status_code == 200, answer.status

        results = []
        with parts.services.store.read() as session:
            first = session.scalars(
                select(Connection.id).where(Connection.administration_id == 1).limit(1)
            ).one()
        for name, path in (("page", "/?administration=1"), ("row", f"/connections/{first}/row")):
            ours = statistics.median(seconds(lambda path=path: get(path), 40))
            floor = statistics.median(seconds(_floor(parts, path), 40))
            results.append(result(name, 1 / ours, 1 / floor, "per second", 0.75, higher=True))
        times = sorted(seconds(lambda: get("/?administration=1"), 100))
        results.append(
            result("page p99 / p50", times[98] * 1000, times[49] * 1000, "ms", 2, higher=False)
        )
        return results


def _floor(parts: composition.Banklink, path: str) -> Callable[[], None]:
    """A bare view that runs the same statements and renders the same views, made beforehand."""
    statements: list[tuple[str, Any]] = []
    views: dict[str, Any] = {}
    engine = parts.services.store.engine

    def keep(_c: Any, _cur: Any, statement: str, params: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, params))

    event.listen(engine, "before_cursor_execute", keep)
    real = maintenance.render_template

    def capture(template: str, **context: Any) -> str:
        views[template] = context
        return real(template, **context)

    from banklink.web import connections

    maintenance.render_template = connections.render_template = capture  # type: ignore[assignment]
    parts.web.test_client().get(path, base_url="http://localhost")
    maintenance.render_template = connections.render_template = real
    event.remove(engine, "before_cursor_execute", keep)
    ((template, context),) = views.items()
    bare: Flask = parts.web
    reader = engine.execution_options(readonly=True)

    def floor() -> None:
        with bare.test_request_context(path, base_url="http://localhost"):
            g.locale = "nl"
            with reader.connect() as connection:
                for statement, params in statements:
                    connection.exec_driver_sql(statement, params).fetchall()
            render_template(template, **context)

    return floor


def _bare(parts: composition.Banklink, endpoint: str, module: Any) -> Callable[[], str]:
    """A view that runs the statements of another as plain rows and renders what that one rendered,
    made beforehand: behind the same session check, under the same server."""
    statements: list[tuple[str, Any]] = []
    rendered: dict[str, Any] = {}
    engine, view = parts.services.store.engine, parts.web.view_functions[endpoint]
    real = module.render_template

    def keep(_c: Any, _cur: Any, statement: str, params: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, params))

    def capture(template: str, **context: Any) -> str:
        event.remove(engine, "before_cursor_execute", keep)  # what follows is the template's own
        rendered.update(template=template, context=context)
        return str(real(template, **context))

    def watched() -> Any:
        event.listen(engine, "before_cursor_execute", keep)
        return view()

    module.render_template, parts.web.view_functions[endpoint] = capture, watched
    address = next(each for each in parts.web.url_map.iter_rules() if each.endpoint == endpoint)
    parts.web.test_client().get(address.rule, base_url="http://localhost")
    module.render_template = real
    reader = engine.execution_options(readonly=True)

    def bare() -> str:
        with reader.connect() as connection:
            for statement, params in statements:
                connection.exec_driver_sql(statement, params).fetchall()
        return render_template(rendered["template"], **rendered["context"])

    return bare


def in_turn(
    work: Callable[[], Any], functions: dict[str, Any], name: str, both: tuple[Any, Any]
) -> tuple[float, float]:
    """Medians of the same work with one and the other function, measured by turns: what else the
    machine does then falls on both."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(60):
        for function, times in zip(both, found, strict=True):
            functions[name] = function
            times += seconds(work, 1)
    return statistics.median(found[0]), statistics.median(found[1])


def office() -> list[Result]:
    """The page over all administrations against its SQL and template alone, and how it grows with
    the connections behind it and with the administrations in front of them."""
    from banklink.web import office as views

    results, times = [], {}
    sizes = (
        (ADMINISTRATIONS, ROWS // 5),
        (ADMINISTRATIONS, ROWS),
        (ADMINISTRATIONS, ROWS * 5),
        (ADMINISTRATIONS * 5, ROWS // 5),
    )
    for administrations, rows in sizes:
        with house() as parts:
            fill(parts, administrations, rows)
            with parts.services.store.write() as session:
                session.execute(
                    insert(Membership),
                    [
                        {"user_id": 1, "administration_id": n, "role": "bookkeeper"}
                        for n in range(2, administrations + 1)
                    ],
                )
            rewrite_due(parts.services, clocks.read(parts.clock))
            client = parts.web.test_client()

            def get(client: Any = client) -> None:
                answer = client.get("/administrations", base_url="http://localhost")
                assert answer.status_code == 200, answer.status

            times[administrations, rows] = statistics.median(seconds(get, 40))
            if (administrations, rows) == sizes[1]:
                view = parts.web.view_functions["office.page"]
                ours, floor = in_turn(
                    get,
                    parts.web.view_functions,
                    "office.page",
                    (view, _bare(parts, "office.page", views)),
                )
                results.append(
                    result(
                        "all administrations", 1 / ours, 1 / floor, "per second", 0.7, higher=True
                    )
                )
    small = times[sizes[0]]
    for name, size in (
        ("… 5 × connections", sizes[1]),
        ("… 25 × connections", sizes[2]),
        ("… 5 × administrations", sizes[3]),
    ):
        # Totals are summed over every row of one's own, which is little; the rest is one page.
        target = 2 if size == sizes[3] else 1.3
        results.append(result(name, times[size] * 1000, small * 1000, "ms", target, higher=False))
    return results


class Shelf:
    """A provider that serves ready JSON pages through the adapter's own parsing."""

    id, issuer, ids_stable = "ponto", None, True

    def __init__(self, count: int, today: date):
        items = [
            {
                "id": f"tx-{number}",
                "attributes": {
                    "amount": round(number / 100 + 0.01, 2),
                    "currency": "EUR",
                    "executionDate": f"{today - timedelta(days=number // 100)}",
                    "valueDate": f"{today - timedelta(days=number // 100)}",
                    "counterpartName": "Groothandel",
                    "counterpartReference": "NL44RABO0123456789",
                    "remittanceInformation": f"Factuur {number}",
                },
            }
            for number in range(count)
        ]
        self.bodies = [
            json.dumps({"data": items[start : start + 500]}).encode()
            for start in range(0, count, 500)
        ]

    def transactions(self, _token: Any, *, account_ref: str, cursor: str | None) -> Page:
        number = int(cursor or 0)
        answer = ponto._parse(self.bodies[number])
        more = str(number + 1) if number + 1 < len(self.bodies) else None
        return Page([ponto._transaction(item) for item in ponto._items(answer)], more)

    def accounts(self, _token: Any) -> list[ProviderAccount]:
        return []


def ingest() -> list[Result]:
    """First fetch and fetching the same again, against plain durable inserts."""
    with house() as parts:
        fill(parts, 1, 2)
        at = clocks.read(parts.clock)
        shelf: Any = Shelf(TRANSACTIONS, at.today)
        services = replace(parts.services, providers={"ponto": shelf})
        from banklink.actions.credentials import put
        from banklink.providers.contract import Credentials

        with services.store.write() as session:
            put(
                services,
                session.get_one(Grant, 1),
                Credentials("token", None, at.real + timedelta(days=1)),
            )
            row = session.scalars(
                select(Connection)
                .join(Account, Account.iban == Connection.iban)
                .where(Account.expiry_noted.is_(False))
            ).first()
            assert row is not None
            row.start_date, number = at.today - timedelta(days=TRANSACTIONS), row.id
        times = []
        for expected in (TRANSACTIONS, 0):
            with services.store.write() as session:
                session.execute(delete(Coverage))
            began = time.perf_counter()
            assert fetch(services, number, at).added == expected
            times.append(time.perf_counter() - began)
        floor = _plain_inserts(shelf.bodies)
    return [
        result("first fetch", TRANSACTIONS / times[0], floor, "rows/s", 0.5, higher=True),
        result("fetch again", TRANSACTIONS / times[1], floor, "rows/s", 0.8, higher=True),
    ]


def _plain_inserts(bodies: list[bytes]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "floor.sqlite3", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, source TEXT UNIQUE, booked TEXT, amount"
            " INTEGER, currency TEXT, name TEXT, iban TEXT, remittance TEXT)"
        )
        began, count = time.perf_counter(), 0
        for body in bodies:
            rows = [
                (item["id"], a["executionDate"], round(a["amount"] * 100), a["currency"],
                 a["counterpartName"], a["counterpartReference"], a["remittanceInformation"])
                for item in json.loads(body)["data"]
                for a in [item["attributes"]]
            ]  # fmt: skip
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "INSERT INTO t (source, booked, amount, currency, name, iban, remittance)"
                " VALUES (?,?,?,?,?,?,?) ON CONFLICT (source) DO NOTHING",
                rows,
            )
            database.execute("COMMIT")
            count += len(rows)
        taken = time.perf_counter() - began
        database.close()
        return count / taken


def expiries() -> list[Result]:
    """The check over many authorisations of which one in a hundred is due, and of which none."""
    with house() as parts:
        fill(parts, AUTHORISATIONS // 100, 100)
        at = clocks.read(parts.clock)
        with parts.services.store.write() as session:
            session.execute(
                Account.__table__.update().values(  # type: ignore[attr-defined]
                    expires_at=at.now + timedelta(days=9), expiry_noted=False
                )
            )
            session.execute(
                Account.__table__.update()  # type: ignore[attr-defined]
                .where(Account.id % 100 == 1)
                .values(expires_at=at.now, valid_until=at.now - timedelta(days=1))
            )
        began = time.perf_counter()
        assert check_expiries(parts.services, at) == AUTHORISATIONS // 100
        ours = time.perf_counter() - began
        nothing = statistics.median(seconds(lambda: check_expiries(parts.services, at), 20))
        with parts.services.store.write() as session:
            began = time.perf_counter()
            session.connection().exec_driver_sql(
                "INSERT INTO events (administration_id, connection_id, at, kind, params)"
                " SELECT c.administration_id, c.id, '2026-01-01', 'status', '{}' FROM accounts a"
                " JOIN grants g ON g.id = a.grant_id JOIN connections c"
                " ON c.administration_id = g.administration_id AND c.iban = a.iban"
                " WHERE a.id % 100 = 1"
            )
            session.connection().exec_driver_sql(
                "UPDATE accounts SET expiry_noted = 1 WHERE id % 100 = 1"
            )
            floor = time.perf_counter() - began
    return [
        result("expiry check, 1 % due", ours * 1000, floor * 1000, "ms", 1.5, higher=False),
        result("expiry check, none due", nothing * 1000, 3, "ms", 1, higher=False),
    ]


def result(
    name: str, ours: float, floor: float, unit: str, target: float, *, higher: bool
) -> Result:
    ratio = ours / floor
    return {
        "name": name,
        "ours": round(ours, 2),
        "floor": round(floor, 2),
        "unit": unit,
        "ratio": round(ratio, 3),
        "target": f"{'>=' if higher else '<='} {target}",
        "met": ratio >= target if higher else ratio <= target,
    }
FAMILIES = {
    "page": page.measure,
    "row": row.measure,
    "refresh": refresh.measure,
    "office": office.measure,
    "list": list_of_many.measure,
    "fetch": fetching.measure,
    "expiries": expiries.measure,
    "camt": camt.measure,
    "alone": alone.measure,
    "together": together.measure,
    "start": start.measure,
}


def main() -> None:
    only = os.environ.get("ONLY")
    if only and only not in FAMILIES:
        raise SystemExit(f"ONLY={only} is none of: {', '.join(FAMILIES)}")
    results = []
    for name, measure in FAMILIES.items():
        if only in ("", None, name):
            began = time.perf_counter()
            results += measure()
            print(f"{name}: measured in {time.perf_counter() - began:.0f} s", flush=True)
    show(results)
    write(results)


if __name__ == "__main__":
    main()
