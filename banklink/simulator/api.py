"""The resource API, in Ponto Connect's wire contract (JSON:API under `/ponto-connect`).

Reading never touches the bank: transactions come from what the app has received, also when the
authorisation has lapsed. Two things a real Ponto does not have, in an account's `meta`:
`availableFrom` (oldest day the app holds) and `historyFrom` (oldest day the bank delivered under
the current authorisation). And `authorizedAt` is null for an account that was never authorised.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid as uuids
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Blueprint, Response, request
from sqlalchemy import and_, delete, false, or_, select
from sqlalchemy.orm import Session

from . import journeys, oauth, world
from .bookings import NAMESPACE, Generated
from .habits import Habits, habits_of, holder_is_there, id_on_the_wire, note_holder, pause
from .model import (
    AppAccount,
    Bank,
    BankAccount,
    BankBooking,
    Holder,
    Integration,
    Onboarding,
    Synchronization,
    Tick,
)

if TYPE_CHECKING:
    from . import Simulator

PREFIX = "/ponto-connect"
MIME = "application/vnd.api+json"
DEFAULT_LIMIT, MOST = 10, 100
SUBTYPES = ("accountDetails", "accountTransactions", "accountTransactionsWithUnsettled")


class Refused(Exception):
    """An answer in the error shape of JSON:API."""

    def __init__(
        self, status: int, code: str, detail: str, *, resource: str = "", pointer: str = ""
    ) -> None:
        super().__init__(code)
        error: dict[str, Any] = {"code": code, "detail": detail}
        if pointer:
            error["source"] = {"pointer": pointer}
            error["meta"] = {"attribute": pointer.rsplit("/", 1)[-1]}
        elif resource:
            error["meta"] = {"resource": resource}
        self.status, self.body = status, {"errors": [error]}


def not_found(resource: str) -> Refused:
    return Refused(404, "resourceNotFound", f"This {resource} does not exist", resource=resource)


def invalid(pointer: str, detail: str) -> Refused:
    return Refused(400, "invalidAttribute", detail, pointer=pointer)


# A decimal must reach the wire digit for digit; json can only write floats. So it is written as a
# marked string that no other string can be, and unwrapped afterwards.
_MARK = secrets.token_hex(16)


def encode(body: Any) -> str:
    """JSON in which a Decimal is a number with exactly its digits."""

    def mark(value: Any) -> str:
        if isinstance(value, Decimal):
            return f"{_MARK}{value}{_MARK}"
        raise TypeError(type(value).__name__)

    return json.dumps(body, default=mark).replace(f'"{_MARK}', "").replace(f'{_MARK}"', "")


def answer(body: Any, status: int = 200) -> Response:
    return Response(encode(body), status=status, mimetype=MIME)


def stamp(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def midnight(day: date | None) -> str | None:
    return f"{day.isoformat()}T00:00:00.000Z" if day else None


def blueprint(simulator: Simulator) -> Blueprint:
    routes = Blueprint("api", __name__, url_prefix=PREFIX)
    store, clock = simulator.store, simulator.clock
    base = simulator.config.origin + PREFIX

    @routes.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        response = answer(error.body, error.status)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def caller(db: Session) -> oauth.Bearer:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        found = None
        if scheme.lower() == "bearer" and token.strip():
            found = oauth.bearer(db, token.strip(), clock.real())
        if found is None:
            raise Refused(401, "credentialsInvalid", "Your credentials are invalid or expired")
        return found

    def reader(db: Session) -> Integration:
        """The integration a holder's token stands for; the holder sees when it last read."""
        found = caller(db).integration
        if found is None:
            raise Refused(403, "forbidden", "This needs a token given by an organization")
        found.last_read_at = clock.now()
        return found

    def client_only(db: Session) -> str:
        found = caller(db)
        if found.integration is not None:
            raise Refused(403, "forbidden", "This needs a client access token")
        return found.client_id

    def attributes(expected: str) -> dict[str, Any]:
        body = request.get_json(force=True, silent=True)
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise Refused(400, "invalidPayload", "The body is not a JSON:API document",
                          pointer="/data")  # fmt: skip
        if data.get("type") != expected:
            raise invalid("/data/type", f"The type must be {expected}")
        found = data.get("attributes")
        if not isinstance(found, dict):
            raise invalid("/data/attributes", "Attributes are missing")
        return found

    # ── shapes ───────────────────────────────────────────────────────────────────────────────

    def synchronization(record: Synchronization, account: AppAccount) -> dict[str, Any]:
        return {
            "type": "synchronization",
            "id": record.uuid,
            "attributes": {
                "updatedAt": stamp(record.updated_at),
                "subtype": record.subtype,
                "status": record.status,
                "resourceType": "account",
                "resourceId": account.uuid,
                "errors": record.errors,
                "createdAt": stamp(record.created_at),
            },
        }

    def sync_meta(db: Session, account: AppAccount) -> dict[str, Any]:
        latest = world.latest_synchronization(db, account)
        return {
            "synchronizedAt": stamp(account.synchronized_at),
            "latestSynchronization": synchronization(latest, account) if latest else None,
        }

    def account_resource(
        db: Session, app: AppAccount, account: BankAccount, bank: Bank, now: datetime
    ) -> dict[str, Any]:
        truth = world.authorisation(db, app, now)
        consent = truth.consent
        held = world.ranges(db, app)
        balance = None
        as_of = max((last for _first, last in held), default=None)
        if as_of is not None:
            if habits_of(db, bank.id).balance == "yesterday":
                as_of -= timedelta(days=1)
            world.generate_until(db, account, now)
            balance = world.as_decimal(world.balance(db, account, as_of), account.currency)
        seen = stamp(app.synchronized_at)
        given = world.given_from(db, app, bank, now)
        return {
            "type": "account",
            "id": app.uuid,
            "attributes": {
                "subtype": "checking",
                "referenceType": "IBAN",
                "reference": account.iban,
                "product": account.description,
                "internalReference": str(uuids.uuid5(NAMESPACE, app.uuid)),
                "holderName": account.holder_name,
                "description": account.description,
                "deprecated": False,
                "currency": account.currency,
                "currentBalance": balance,
                "currentBalanceChangedAt": seen,
                "currentBalanceReferenceDate": midnight(as_of),
                "currentBalanceVariationObservedAt": seen,
                "availableBalance": balance,
                "availableBalanceChangedAt": seen,
                "availableBalanceReferenceDate": midnight(as_of),
                "availableBalanceVariationObservedAt": seen,
                "authorizedAt": stamp(consent.authorized_at) if consent else None,
                "authorizationExpirationExpectedAt": stamp(consent.valid_until)
                if consent
                else None,
            },
            "relationships": {
                "transactions": {
                    "links": {
                        "related": f"{base}/accounts/{app.uuid}/transactions",
                        "meta": {"type": "transaction"},
                    }
                },
                "financialInstitution": {
                    "links": {"related": f"{base}/financial-institutions/{bank.uuid}"},
                    "data": {"type": "financialInstitution", "id": bank.uuid},
                },
            },
            "meta": {
                **sync_meta(db, app),
                "availability": "readonly" if bank.outage_since else "available",
                "availableFrom": _latest(given, min((first for first, _ in held), default=None)),
                "historyFrom": _latest(given, truth.history_from),
            },
        }

    def transaction(row: BankBooking, app: AppAccount, id_: str) -> dict[str, Any]:
        amount = world.as_decimal(row.amount, row.currency)
        fields = f"{row.uuid} {row.amount} {row.booked_on} {row.remittance} {row.counterparty_iban}"
        return {
            "type": "transaction",
            "id": id_,
            "attributes": {
                "amount": amount,
                "currency": row.currency,
                "executionDate": midnight(row.booked_on),
                "valueDate": midnight(row.value_on or row.booked_on),
                "counterpartName": row.counterparty,
                "counterpartReference": row.counterparty_iban,
                "remittanceInformation": row.remittance,
                "remittanceInformationType": "unstructured",
                "description": row.counterparty or row.remittance[:70],
                "additionalInformation": None,
                "bankTransactionCode": "PMNT-RCDT-ESCT" if row.amount >= 0 else "PMNT-ICDT-ESCT",
                "proprietaryBankTransactionCode": None,
                "endToEndId": row.end_to_end_id,
                "mandateId": None,
                "creditorId": None,
                "purposeCode": None,
                "internalReference": row.bank_reference,
                "digest": hashlib.sha256(fields.encode()).hexdigest(),
                "fee": None,
                "cardReference": None,
                "cardReferenceType": None,
                "createdAt": stamp(row.created_at),
                "updatedAt": stamp(row.created_at),
            },
            "relationships": {
                "account": {
                    "links": {"related": f"{base}/accounts/{app.uuid}"},
                    "data": {"type": "account", "id": app.uuid},
                }
            },
        }

    def pending_transaction(each: Generated, account: BankAccount) -> dict[str, Any]:
        """Few there are, on one page; they come with less than when they are booked."""
        return {
            "type": "pendingTransaction",
            "id": each.uuid,
            "attributes": {
                "amount": world.as_decimal(each.amount, account.currency),
                "currency": account.currency,
                "executionDate": midnight(each.booked_on),
                "valueDate": None,
                "counterpartName": each.counterparty,
                "counterpartReference": each.counterparty_iban,
                "remittanceInformation": each.remittance,
                "description": each.remittance,
                "endToEndId": each.end_to_end_id,
            },
        }

    def enough(wait: timedelta, habits: Habits) -> Response:
        """The bank has been read often enough for today."""
        refused = Refused(429, "tooManyRequests", "The financial institution asks for a pause")
        response = answer(refused.body, refused.status)
        if habits.retry_after == "seconds":
            response.headers["Retry-After"] = str(int(wait.total_seconds()) + 1)
        elif habits.retry_after == "date":
            response.headers["Retry-After"] = format_datetime(clock.real() + wait, usegmt=True)
            response.headers["Date"] = format_datetime(clock.real(), usegmt=True)
        return response

    def institution(bank: Bank) -> dict[str, Any]:
        return {
            "type": "financialInstitution",
            "id": bank.uuid,
            "attributes": {
                "name": bank.name,
                "bic": None,
                "country": "NL",
                "status": "stable",
                "deprecated": False,
                "expectedAuthorizationLifetime": bank.valid_days,
                "pendingTransactionsAvailable": True,
            },
        }

    def limit() -> int:
        text = request.args.get("page[limit]", request.args.get("limit", str(DEFAULT_LIMIT)))
        if not (text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MOST):
            raise invalid("/page/limit", f"The limit must be from 1 to {MOST}")
        return int(text)

    def cursor(name: str) -> str | None:
        return request.args.get(f"page[{name}]", request.args.get(name)) or None

    def link(path: str, **parameters: str | int) -> str:
        query = urlencode(parameters)
        return f"{base}{path}{'?' + query if query else ''}"

    # ── who, which accounts ──────────────────────────────────────────────────────────────────

    @routes.get("/userinfo")
    def userinfo() -> Response:
        with store.transaction() as db:
            holder = db.get_one(Holder, reader(db).holder_id)
        return answer(
            {
                "sub": holder.uuid,
                "name": holder.name,
                "email": holder.email,
                "representativeOrganizationName": None,
                "representativeOrganizationId": None,
                "paymentsActivated": False,
                "paymentsActivationRequested": False,
                "onboardingComplete": True,
            }
        )

    @routes.get("/accounts")
    def accounts() -> Response:
        now, most, after = clock.now(), limit(), cursor("after")
        with store.transaction() as db:
            rows = world.ticked_accounts(db, reader(db).id)
            if after:
                places = [n for n, row in enumerate(rows) if row[0].uuid == after]
                if not places:
                    raise invalid("/page/after", "There is no such account")
                rows = rows[places[0] + 1 :]
            more, rows = len(rows) > most, rows[:most]
            for app, _account, _bank in rows:
                world.synchronise_when_old(db, app, now)
            data = [account_resource(db, *row, now) for row in rows]
        last = data[-1]["id"] if more else None
        links = {"first": link("/accounts", **{"page[limit]": most})}
        if last:
            links["next"] = link("/accounts", **{"page[limit]": most, "page[after]": last})
        paging = {"limit": most, "before": None, "after": last}
        return answer({"meta": {"paging": paging}, "links": links, "data": data})

    def listed(db: Session, uuid: str) -> tuple[Integration, AppAccount, BankAccount, Bank]:
        """The account, when the holder ticked it for this caller and it is still in the app."""
        integration = reader(db)
        row = db.execute(
            select(AppAccount, BankAccount, Bank)
            .join(Tick, Tick.app_account_id == AppAccount.id)
            .join(BankAccount, BankAccount.id == AppAccount.bank_account_id)
            .join(Bank, Bank.id == BankAccount.bank_id)
            .where(Tick.integration_id == integration.id, AppAccount.uuid == uuid)
        ).first()
        if row is None:
            raise not_found("account")
        return integration, row[0], row[1], row[2]

    @routes.get("/accounts/<uuid>")
    def account(uuid: str) -> Response:
        with store.transaction() as db:
            _integration, app, found, bank = listed(db, uuid)
            return answer({"data": account_resource(db, app, found, bank, clock.now())})

    @routes.delete("/accounts/<uuid>")
    def untick(uuid: str) -> Response:
        with store.transaction() as db:
            integration, app, _found, _bank = listed(db, uuid)
            db.execute(
                delete(Tick).where(
                    Tick.integration_id == integration.id, Tick.app_account_id == app.id
                )
            )
        return answer({"data": {"type": "account", "id": uuid}})

    @routes.get("/accounts/<uuid>/transactions")
    def transactions(uuid: str) -> Response:
        now, most = clock.now(), limit()
        after, before = cursor("after"), cursor("before")
        path = f"/accounts/{uuid}/transactions"
        with store.transaction() as db:
            _integration, app, found, bank = listed(db, uuid)
            world.generate_until(db, found, now)
            habits = habits_of(db, bank.id)
            if not after and not before:
                wait = pause(db, habits, found.id, now, with_holder=holder_is_there(db, app, now))
                if wait is not None:
                    return enough(wait, habits)
            visible = (
                BankBooking.bank_account_id == found.id,
                BankBooking.booked_on >= (world.given_from(db, app, bank, now) or date.min),
                world.received(world.ranges(db, app)),
            )

            def place(name: str, uuid: str) -> BankBooking:
                row = db.scalar(select(BankBooking).where(*visible, BankBooking.uuid == uuid))
                if row is None:
                    raise invalid(f"/page/{name}", "There is no such transaction")
                return row

            query = select(BankBooking).where(*visible)
            newest_first: Any = (BankBooking.booked_on.desc(), BankBooking.id.desc())
            if after:  # newest first, so `after` walks back in time
                row = place("after", after)
                again = BankBooking.id == row.id if habits.shifting else false()
                query = query.where(_older(row) | again).order_by(*newest_first)
            elif before:
                row = place("before", before)
                query = query.where(_newer(row))
                query = query.order_by(BankBooking.booked_on, BankBooking.id)
            else:
                query = query.order_by(*newest_first)
            rows = list(db.scalars(query.limit(most + 1)))
            more = len(rows) > most
            rows = rows[:most]
            if before and not after:
                rows.reverse()
                older, newer = True, more
            else:
                older, newer = more, bool(after) and bool(rows)
            body: dict[str, Any] = {
                "meta": {
                    **sync_meta(db, app),
                    "paging": {
                        "limit": most,
                        "before": rows[0].uuid if newer else None,
                        "after": rows[-1].uuid if older and rows else None,
                    },
                },
                "links": {"first": link(path, **{"page[limit]": most})},
                "data": [
                    transaction(row, app, id_on_the_wire(db, habits, app, row.uuid)) for row in rows
                ],
            }
        paging, links = body["meta"]["paging"], body["links"]
        if paging["after"]:
            links["next"] = link(path, **{"page[limit]": most, "page[after]": paging["after"]})
        if paging["before"]:
            links["prev"] = link(path, **{"page[limit]": most, "page[before]": paging["before"]})
        return answer(body)

    @routes.get("/accounts/<uuid>/transactions/<transaction_uuid>")
    def one_transaction(uuid: str, transaction_uuid: str) -> Response:
        with store.transaction() as db:
            _integration, app, found, _bank = listed(db, uuid)
            row = db.scalar(
                select(BankBooking).where(
                    BankBooking.bank_account_id == found.id,
                    BankBooking.uuid == transaction_uuid,
                    world.received(world.ranges(db, app)),
                )
            )
            if row is None:
                raise not_found("transaction")
            return answer({"data": transaction(row, app, row.uuid)})

    @routes.get("/accounts/<uuid>/pending-transactions")
    def pending(uuid: str) -> Response:
        with store.transaction() as db:
            _integration, app, found, _bank = listed(db, uuid)
            paging = {"limit": limit(), "before": None, "after": None}
            links = {"first": link(f"/accounts/{uuid}/pending-transactions")}
            meta = {**sync_meta(db, app), "paging": paging}
            coming = [pending_transaction(each, found) for each in world.announced(db, found, app)]
            return answer({"meta": meta, "links": links, "data": coming})

    # ── renewals and synchronisations ────────────────────────────────────────────────────────

    @routes.post("/accounts/<uuid>/reauthorization-requests")
    def reauthorise(uuid: str) -> Response:
        asked = attributes("reauthorizationRequest")
        target = asked.get("redirectUri")
        with store.transaction() as db:
            integration, _app, found, bank = listed(db, uuid)
            client = simulator.client(integration.client_id)
            pointer = "/data/attributes/redirectUri"
            if not isinstance(target, str) or client is None:
                raise invalid(pointer, "The redirect URI is missing")
            # The client's state travels in the query; what stands before it must be registered.
            if target.partition("?")[0] not in client.redirect_uris or "#" in target:
                raise invalid(pointer, "The redirect URI is not registered")
            if any(ord(c) < 33 or ord(c) > 126 for c in target):
                raise invalid(pointer, "The redirect URI is not a URI")
            names = {name for name, _ in parse_qsl(urlsplit(target).query, keep_blank_values=True)}
            if names & {"iss", "error", "code"}:
                raise invalid(pointer, "The redirect URI uses a reserved parameter")
            secret = journeys.start(
                db,
                kind="reauthorization",
                holder_id=integration.holder_id,
                account_ids=[found.id],
                return_uri=target,
                now=clock.now(),
                real=clock.real(),
                client_id=client.id,
            )
        body = {
            "data": {
                "type": "reauthorizationRequest",
                "id": world.new_uuid(),
                "attributes": {"sandbox": True},
                "links": {
                    "redirect": f"{simulator.config.origin}/bank/{bank.code}/authorise/{secret}"
                },
            }
        }
        return answer(body, 201)

    @routes.post("/synchronizations")
    def synchronise() -> Response:
        asked = attributes("synchronization")
        if asked.get("resourceType") != "account":
            raise invalid("/data/attributes/resourceType", "The resource type must be account")
        if asked.get("subtype") not in SUBTYPES:
            raise invalid("/data/attributes/subtype", f"The subtype must be one of {SUBTYPES}")
        with store.transaction() as db:
            resource = asked.get("resourceId")
            if not isinstance(resource, str):
                raise invalid("/data/attributes/resourceId", "The resource id is missing")
            _integration, app, _found, _bank = listed(db, resource)
            record = world.synchronise(db, app, clock.now(), asked["subtype"])
            if asked.get("customerIpAddress"):
                note_holder(db, app, clock.now())
            return answer({"data": synchronization(record, app)}, 201)

    @routes.get("/synchronizations/<uuid>")
    def one_synchronization(uuid: str) -> Response:
        with store.transaction() as db:
            integration = reader(db)
            row = db.execute(
                select(Synchronization, AppAccount)
                .join(AppAccount, AppAccount.id == Synchronization.app_account_id)
                .join(Tick, Tick.app_account_id == AppAccount.id)
                .where(Tick.integration_id == integration.id, Synchronization.uuid == uuid)
            ).first()
            if row is None:
                raise not_found("synchronization")
            return answer({"data": synchronization(row[0], row[1])})

    # ── without a holder ─────────────────────────────────────────────────────────────────────

    @routes.get("/financial-institutions")
    def institutions() -> Response:
        most = limit()
        name = request.args.get("filter[name][contains]", "").lower()
        country = request.args.get("filter[country][eq]", "NL")
        with store.transaction() as db:
            banks = db.scalars(select(Bank).order_by(Bank.id)).all()
        data = [
            institution(bank) for bank in banks if name in bank.name.lower() and country == "NL"
        ]
        paging = {"limit": most, "before": None, "after": None}
        links = {"first": link("/financial-institutions")}
        return answer({"meta": {"paging": paging}, "links": links, "data": data[:most]})

    @routes.get("/financial-institutions/<uuid>")
    def one_institution(uuid: str) -> Response:
        with store.transaction() as db:
            bank = db.scalar(select(Bank).where(Bank.uuid == uuid))
        if bank is None:
            raise not_found("financialInstitution")
        return answer({"data": institution(bank)})

    @routes.post("/onboarding-details")
    def onboarding() -> Response:
        with store.transaction() as db:
            client_id = client_only(db)
            asked = attributes("onboardingDetails")
            for name, most in (
                ("organizationName", 200),
                ("partnerReference", 200),
                ("email", 320),
            ):
                value = asked.get(name)
                if value is not None and not (isinstance(value, str) and len(value) <= most):
                    raise invalid(f"/data/attributes/{name}", f"At most {most} characters")
            details = Onboarding(
                uuid=world.new_uuid(),
                client_id=client_id,
                attributes={k: v for k, v in asked.items() if isinstance(v, str | bool)},
                created_at=clock.real(),
            )
            db.add(details)
            data = {"type": "onboardingDetails", "id": details.uuid, "attributes": asked}
        return answer({"data": data}, 201)

    @routes.delete("/organizations/<subject>/integration")
    def end_integration(subject: str) -> Response:
        """Ends all of this client's access to the organisation's accounts. A client with more than
        one purpose there names it: `?filter[partnerReference][eq]=…`, our documented extension."""
        purpose = request.args.get("filter[partnerReference][eq]")
        with store.transaction() as db:
            client_id = client_only(db)
            query = (
                select(Integration)
                .join(Holder, Holder.id == Integration.holder_id)
                .where(
                    Holder.uuid == subject,
                    Integration.client_id == client_id,
                    Integration.revoked_at.is_(None),
                )
            )
            if purpose is not None:
                query = query.where(Integration.reference == purpose)
            found = db.scalars(query).all()
            if not found:
                raise not_found("integration")
            for integration in found:
                integration.revoked_at = clock.now()
                oauth.revoke_families(db, integration.id, clock.real())
            body = {
                "type": "integration",
                "id": found[0].uuid,
                "relationships": {
                    "organization": {"data": {"type": "organization", "id": subject}}
                },
            }
        return answer({"data": body})

    return routes


def _latest(*days: date | None) -> str | None:
    """The last of those that are known."""
    known = [day for day in days if day is not None]
    return max(known).isoformat() if known else None


def _older(row: BankBooking) -> Any:
    return or_(
        BankBooking.booked_on < row.booked_on,
        and_(BankBooking.booked_on == row.booked_on, BankBooking.id < row.id),
    )


def _newer(row: BankBooking) -> Any:
    return or_(
        BankBooking.booked_on > row.booked_on,
        and_(BankBooking.booked_on == row.booked_on, BankBooking.id > row.id),
    )
