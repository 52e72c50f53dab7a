"""The consent page: a service asks a holder for access to accounts.

`GET /oauth2/auth` only validates and hands the validated request on inside a signed ticket, so
that signing in first, reloading or switching language loses nothing, and looking writes nothing.
An unknown client or redirect URI gets a page of our own; redirecting would make this an open
redirector (RFC 9700 §4.11). Every other fault goes back to the client with `state` and `iss`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import journeys, oauth, world
from .browser import go, leave, page, problem, sign_in_first, signed_in
from .i18n import gettext as _
from .model import AppAccount, Integration, Onboarding, Tick

if TYPE_CHECKING:
    from . import Simulator

ONBOARDING_LIFE = timedelta(minutes=5)
TICKET_SECONDS = 3600


def hinted(found: dict[str, Any], accounts: list[world.OwnedAccount]) -> set[int]:
    """The accounts the service named: each by its bank's letters and its last four digits, where
    that is one account of this holder and not two."""
    ticks = set()
    for hint in found["hint"]:
        matching = [a for a in accounts if f"{a.account.iban[4:8]}{a.account.iban[-4:]}" == hint]
        if len(matching) == 1:
            ticks.add(matching[0].account.id)
    return ticks


def blueprint(simulator: Simulator, server: oauth.Server, secret: str) -> Blueprint:
    routes = Blueprint("consent", __name__)
    tickets = URLSafeTimedSerializer(secret, salt="authorisation request")
    origin = simulator.config.origin

    def back_with_error(
        redirect_uri: str, error: str, state: str | None, why: str = ""
    ) -> Response:
        parameters = [("error", error)]
        if why:
            parameters.append(("error_description", why))
        if state:
            parameters.append(("state", state))
        return leave(oauth.with_query(redirect_uri, [*parameters, ("iss", origin)]))

    @routes.get("/oauth2/auth")
    def authorise() -> Response:
        given = request.args
        client = simulator.client(given.get("client_id", ""))
        once = all(len(given.getlist(n)) == 1 for n in ("client_id", "redirect_uri") if n in given)
        redirect_uri = given.get("redirect_uri", "")
        if client is None or not once or redirect_uri not in client.redirect_uris:
            return problem(
                400,
                _("This link is not right"),
                _(
                    "The service that sent you here is not known, or not at this address. "
                    "Nothing has been shared."
                ),
            )
        state = given.get("state")
        if any(len(given.getlist(name)) > 1 for name in given):
            return back_with_error(redirect_uri, "invalid_request", state, "repeated parameter")
        if given.get("response_type") != "code":
            return back_with_error(redirect_uri, "unsupported_response_type", state)
        try:
            grant = server.authlib.get_consent_grant()
        except server.error as refused:
            code = str(getattr(refused, "error", "invalid_request"))
            why = str(getattr(refused, "description", "") or "")
            return back_with_error(redirect_uri, code, state, why)
        except ValueError:
            return back_with_error(redirect_uri, "invalid_request", state)
        ticket: dict[str, Any] = {
            "client": client.id,
            "redirect_uri": redirect_uri,
            "state": state,
            "scope": grant.request.scope,
            "code_challenge": given["code_challenge"],
            "reference": "",
            "label": "",
            "email": "",
            "hint": given.get("account_hint", "").split()[:50],
            "agreed": "",
        }
        onboarding_id = given.get("onboarding_details_id")
        if onboarding_id:
            with simulator.store.transaction() as db:
                details = db.scalar(
                    select(Onboarding).where(
                        Onboarding.uuid == onboarding_id,
                        Onboarding.client_id == client.id,
                        Onboarding.created_at >= simulator.clock.real() - ONBOARDING_LIFE,
                    )
                )
            if details is None:
                return back_with_error(
                    redirect_uri, "invalid_request", state, "onboarding_details_id is not usable"
                )
            ticket["reference"] = details.attributes.get("partnerReference") or ""
            ticket["label"] = details.attributes.get("organizationName") or ""
            ticket["email"] = details.attributes.get("email") or ""
            if details.attributes.get("automaticSubmissionOnCompletedForms"):
                ticket["agreed"] = details.uuid
        return go("consent.show", request=tickets.dumps(ticket))

    def asked() -> dict[str, Any] | None:
        """The request the ticket stands for; None when it is forged, old or of a past client."""
        try:
            found: dict[str, Any] = tickets.loads(
                request.args.get("request", ""), max_age=TICKET_SECONDS
            )
        except BadSignature:
            return None
        client = simulator.client(found["client"])
        if client is None or found["redirect_uri"] not in client.redirect_uris:
            return None
        return found

    def stale() -> Response:
        return problem(
            400,
            _("This request is too old"),
            _(
                "Go back to the service that asked, and start again from there. "
                "Nothing has been shared."
            ),
        )

    def shared(db: Session, found: dict[str, Any], holder: Any) -> set[int]:
        """What this purpose of the service reads already."""
        return set(
            db.scalars(
                select(AppAccount.bank_account_id)
                .join(Tick, Tick.app_account_id == AppAccount.id)
                .join(Integration, Integration.id == Tick.integration_id)
                .where(
                    Integration.client_id == found["client"],
                    Integration.holder_id == holder.id,
                    Integration.reference == found["reference"],
                    Integration.revoked_at.is_(None),
                )
            )
        )

    def form(
        db: Session, found: dict[str, Any], holder: Any, ticks: set[int] | None, error: str = ""
    ) -> Response:
        now = simulator.clock.now()
        accounts = world.owned_accounts(db, holder.id, now)
        existing = db.scalar(
            select(Integration).where(
                Integration.client_id == found["client"],
                Integration.holder_id == holder.id,
                Integration.reference == found["reference"],
                Integration.revoked_at.is_(None),
            )
        )
        if ticks is None:
            ticks = shared(db, found, holder) | hinted(found, accounts)
            if not ticks and existing is None and len(accounts) == 1:
                ticks = {accounts[0].account.id}
        # The button names the first bank it will lead to, as far as that is known beforehand.
        waiting = [a for a in accounts if a.needs_bank]
        first = next((a for a in waiting if a.account.id in ticks), None)
        if first is None and not ticks:
            first = waiting[0] if waiting else None
        client = simulator.client(found["client"])
        return page(
            "consent.html",
            422 if error else 200,
            client=client,
            label=found["label"],
            holder=holder,
            accounts=accounts,
            ticks=ticks,
            error=error,
            first_bank=first.bank.name if first else None,
            several_banks=len({a.bank.id for a in waiting}) > 1,
            any_waiting=bool(waiting),
            again=existing is not None,
            ticket=request.args["request"],
            here=url_for("consent.show", request=request.args["request"]),
        )

    @routes.get("/oauth2/consent")
    def show() -> Response:
        found = asked()
        if found is None:
            return stale()
        with simulator.store.transaction() as db:
            holder = signed_in(db, simulator)
            if holder is None:
                return go(
                    "app.sign_in",
                    next=url_for("consent.show", request=request.args["request"]),
                    email=found["email"],
                )
            ticks = complete(db, found, holder)
            if ticks:
                return allowed(db, found, holder, ticks | shared(db, found, holder), visits=ticks)
            return form(db, found, holder, None)

    def complete(db: Session, found: dict[str, Any], holder: Any) -> set[int]:
        """The ticks of a form that needs nobody to fill it in: the service has the holder's yes to
        exactly these accounts, the holder it means is signed in here, and each account is known.
        Once per request; a second look shows the form."""
        if not found["agreed"] or found["email"].lower() != holder.email.lower():
            return set()
        accounts = world.owned_accounts(db, holder.id, simulator.clock.now())
        ticks = hinted(found, accounts)
        details = db.scalar(select(Onboarding).where(Onboarding.uuid == found["agreed"]))
        if details is None or details.attributes.get("submitted"):
            return set()
        if not found["hint"] or len(ticks) != len(set(found["hint"])):
            return set()
        details.attributes = {**details.attributes, "submitted": True}
        return ticks

    @routes.post("/oauth2/consent")
    def decide() -> Response:
        found = asked()
        if found is None:
            return stale()
        decision = request.form.get("decision")
        with simulator.store.transaction() as db:
            holder = signed_in(db, simulator)
            if holder is None:
                return sign_in_first()
            if decision == "deny":
                return back_with_error(found["redirect_uri"], "access_denied", found["state"])
            accounts = {
                a.account.id: a for a in world.owned_accounts(db, holder.id, simulator.clock.now())
            }
            ticks = [int(n) for n in request.form.getlist("account") if n.isdecimal()]
            if decision not in ("allow", "allow_later") or not set(ticks) <= set(accounts):
                return problem(
                    400, _("That is not possible"), _("Nothing has been shared."),
                    back=url_for("consent.show", request=request.args["request"]),
                    label=_("Back to the request"),
                )  # fmt: skip
            if not ticks:
                sentence = _("Tick at least one account, or choose “Do not allow”.")
                return form(db, found, holder, set(), sentence)
            later = decision == "allow_later"
            return allowed(db, found, holder, set(ticks), visits=set() if later else set(ticks))

    def allowed(
        db: Session, found: dict[str, Any], holder: Any, chosen: set[int], *, visits: set[int]
    ) -> Response:
        """On to the banks that are to confirm, for `visits` of what was chosen, or back."""
        owned = world.owned_accounts(db, holder.id, simulator.clock.now())
        accounts = {a.account.id: a for a in owned}
        ticks = [n for n in accounts if n in chosen]
        visit = [n for n in ticks if n in visits and accounts[n].needs_bank]
        client = simulator.client(found["client"])
        assert client is not None
        secret = journeys.start(
            db,
            kind="grant",
            holder_id=holder.id,
            account_ids=visit,
            return_uri=found["redirect_uri"],
            now=simulator.clock.now(),
            real=simulator.clock.real(),
            client_id=client.id,
            request={
                "state": found["state"],
                "scope": found["scope"],
                "code_challenge": found["code_challenge"],
                "reference": found["reference"],
                "label": found["label"] or client.name,
            },
            ticks=ticks,
        )
        journey = journeys.find(db, secret)
        assert journey is not None
        if not visit:
            return leave(journeys.complete(db, simulator, journey).url)
        return go("bank.sign_in", code=accounts[visit[0]].bank.code, secret=secret)

    return routes
