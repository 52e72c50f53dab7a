"""A service that has its answers ready: pages of JSON in its own words, read by the real adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete

import app as composition
from banklink import clock as clocks
from banklink.actions.credentials import put
from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.providers import ponto
from banklink.providers.contract import Credentials, Temporary
from banklink.store.models import Connection, Coverage, Grant

PAGE = 500
A_DAY = 100


def bodies(count: int, newest: date) -> list[bytes]:
    """So many bookings, a hundred a day, newest first."""
    items = [
        {
            "id": f"6f1c1e0a-58bb-4b8e-9f2d-{number:012d}",
            "type": "transaction",
            "attributes": {
                "amount": round(number % 90_000 / 100 + 0.01, 2),
                "currency": "EUR",
                "executionDate": f"{newest - timedelta(days=number // A_DAY)}T00:00:00.000Z",
                "valueDate": f"{newest - timedelta(days=number // A_DAY)}T00:00:00.000Z",
                "counterpartName": f"Groothandel {number % 50}",
                "counterpartReference": "NL44RABO0123456789",
                "remittanceInformation": f"Factuur {number}",
                "remittanceInformationType": "unstructured",
                "endToEndId": f"E2E{number:012d}",
            },
        }
        for number in range(count)
    ]
    pages = -(-count // PAGE)
    return [
        json.dumps(
            {
                "meta": {"paging": {"limit": PAGE}},
                "links": {"next": f"next/{page + 1}"} if page + 1 < pages else {},
                "data": items[page * PAGE : (page + 1) * PAGE],
            }
        ).encode()
        for page in range(pages)
    ]


class Shelf(ponto.Ponto):
    """`stopped`: it answers no more. `served`: bookings handed out."""

    def __init__(self, settings: Any, bodies: list[bytes]):
        super().__init__(settings)
        self.bodies, self.served, self.stopped = bodies, 0, False

    def _get(self, url: str, _credentials: Credentials) -> Mapping[str, Any]:
        if self.stopped:
            raise Temporary("ConnectError")
        if "/pending-transactions" in url:
            return {"data": []}
        number = int(url.removeprefix("next/")) if url.startswith("next/") else 0
        answer = ponto._parse(self.bodies[number])
        self.served += len(answer["data"])
        return answer


def services_with(parts: composition.Banklink, shelf: Shelf) -> Services:
    services = replace(parts.services, providers={"ponto": shelf})
    at = clocks.read(parts.clock)
    with services.store.write() as session:
        for grant in session.query(Grant).limit(10):
            put(services, grant, Credentials("token", None, at.real + timedelta(days=1)))
    return services


def ready(services: Services, number: int, at: Moment, days: int) -> None:
    """Let this connection be fetched from so many days ago, as if it never was."""
    with services.store.write() as session:
        row = session.get_one(Connection, number)
        row.start_date, row.watermark = at.today - timedelta(days=days), None
        row.next_fetch_at = at.now
        session.execute(delete(Coverage).where(Coverage.connection_id == number))
