"""The simulated banks: sign in with a card, confirm what may be read, see and end consents.

The bank proves the person, so a link from a service needs no sign-in at the app first; the browser
that signed in here is the only one that may confirm (`browser_hash`). Every screen can be left by
cancelling, which answers the one who sent the holder (domain A2.7, R16). The test panel chooses
how a visit ends.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request, session, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import bookings, journeys, world
from .browser import (
    DEMO_CODE,
    flash_once,
    go,
    leave,
    page,
    problem,
    sign_out,
    signed_in,
)
from .browser import sign_in as sign_in_holder
from .i18n import gettext as _
from .i18n import grouped, ngettext
from .model import (
    AppAccount,
    Bank,
    BankAccount,
    BankConsent,
    ConsentAccount,
    Holder,
    Journey,
    JourneyStep,
    Owner,
    digest,
    new_secret,
)

if TYPE_CHECKING:
    from . import Simulator

OUTCOMES = ("approved", "other_account", "denied", "wrong_code", "timeout", "no_return", "outage")
PRIVATE = "private"
TRIES = 3
LONGEST = 3660


def bank_named(db: Session, code: str) -> Bank | None:
    return db.scalar(select(Bank).where(Bank.code == code))


def finish(finished: journeys.Finished, db: Session) -> Response:
    """Send the browser on; a journey that began in the app ends with a sentence there."""
    if finished.kind == "settings":
        flash_once(*_sentence(finished, db))
    return leave(finished.url)


def _sentence(finished: journeys.Finished, db: Session) -> tuple[str, str]:
    if finished.outcome != "completed":
        return {
            "wrong_code": (_("Signing in at the bank did not work. Nothing has changed."), "bad"),
            "timeout": (_("It took too long. Nothing has changed; start again."), "bad"),
            "outage": (_("The bank has a disruption. Nothing has changed; try later."), "bad"),
        }.get(finished.outcome, (_("You stopped. Nothing has changed."), "bad"))
    if not finished.authorised:
        return _("That card belongs to another account. Nothing has changed."), "bad"
    wanted, got = finished.requested[0], finished.authorised
    if wanted not in got:
        names = {
            account.id: grouped(account.iban)
            for account in db.scalars(
                select(BankAccount).where(BankAccount.id.in_([wanted, got[0]]))
            )
        }
        return (
            _(
                "You connected %(got)s, but %(wanted)s was asked for; that one has not changed.",
                got=names[got[0]],
                wanted=names[wanted],
            ),
            "bad",
        )
    count = len(got)
    return (
        ngettext("%(num)s account is connected.", "%(num)s accounts are connected.", count),
        "good",
    )


def blueprint(simulator: Simulator) -> Blueprint:
    routes = Blueprint("bank", __name__, url_prefix="/bank/<code>")
    store, clock = simulator.store, simulator.clock

    # ── a visit: sign in, consent ────────────────────────────────────────────────────────────

    def used() -> Response:
        return problem(
            400,
            _("This link has been used or is too old"),
            _(
                "A link to the bank works once and for an hour. Go back to where you came from and "
                "start again; nothing has changed."
            ),
        )

    def visit(db: Session, code: str, secret: str) -> tuple[Journey, JourneyStep, Bank] | Response:
        journey = journeys.find(db, secret)
        if journey is None or not journeys.is_open(journey, clock.real()):
            return used()
        step = journeys.current_step(db, journey)
        if step is None:
            return used()
        bank = db.get_one(Bank, step.bank_id)
        if bank.code != code:
            return used()
        return journey, step, bank

    def sign_in_page(
        db: Session, journey: Journey, step: JourneyStep, bank: Bank, secret: str,
        entered: dict[str, str] | None = None, error: str = "",
    ) -> Response:  # fmt: skip
        holder = db.get_one(Holder, journey.holder_id)
        focus = db.get_one(BankAccount, step.focus_id)
        defaults = {
            "card": str(focus.id),
            "code": DEMO_CODE,
            "outcome": "approved",
            "valid_days": str(bank.valid_days),
            "history_days": "",
        }
        return page(
            "bank_sign_in.html",
            422 if error else 200,
            bank=bank,
            holder=holder,
            focus=focus,
            cards=journeys.owned_at(db, holder.id, bank.id),
            entered={**defaults, **(entered or {})},
            outcomes=OUTCOMES,
            error=error,
            secret=secret,
            here=url_for("bank.sign_in", code=bank.code, secret=secret),
        )

    @routes.get("/authorise/<secret>")
    def sign_in(code: str, secret: str) -> Response:
        with store.transaction() as db:
            found = visit(db, code, secret)
            if isinstance(found, Response):
                return found
            journey, step, bank = found
            if bank.outage_since is not None:
                here = url_for("bank.sign_in", code=bank.code, secret=secret)
                return page("bank_outage.html", bank=bank, secret=secret, here=here)
            return sign_in_page(db, journey, step, bank, secret)

    @routes.post("/authorise/<secret>")
    def check_sign_in(code: str, secret: str) -> Response:
        form = request.form
        with store.transaction() as db:
            found = visit(db, code, secret)
            if isinstance(found, Response):
                return found
            journey, step, bank = found
            entered = {n: form[n] for n in ("card", "outcome", "valid_days", "history_days")
                       if n in form}  # fmt: skip
            own = [account.id for account in journeys.owned_at(db, journey.holder_id, bank.id)]
            card = form.get("card", "")
            valid_days, history_days = form.get("valid_days", ""), form.get("history_days", "")
            error = ""
            if card != PRIVATE and card not in map(str, own):
                error = _("Choose a card.")
            elif valid_days and not _days(valid_days, 1):
                error = _("Fill in a number of days from 1 to %(most)s.", most=LONGEST)
            elif history_days and not _days(history_days, 0):
                error = _("Fill in a number of days from 0 to %(most)s.", most=LONGEST)
            if error:
                return sign_in_page(db, journey, step, bank, secret, entered, error)

            outcome = form.get("outcome", "approved")
            if bank.outage_since is not None:
                outcome = "outage"
            if outcome in ("denied", "wrong_code", "timeout", "outage"):
                return finish(journeys.fail(db, simulator, journey, outcome), db)
            if outcome == "no_return":
                here = url_for("bank.sign_in", code=bank.code, secret=secret)
                return page("bank_dead_end.html", bank=bank, here=here)
            if not hmac.compare_digest(form.get("code", "").encode(), DEMO_CODE.encode()):
                journey.failures += 1
                left = TRIES - journey.failures
                if left <= 0:
                    return finish(journeys.fail(db, simulator, journey, "wrong_code"), db)
                error = ngettext(
                    "That code is not right. You can try %(num)s more time.",
                    "That code is not right. You can try %(num)s more times.",
                    left,
                )
                return sign_in_page(db, journey, step, bank, secret, entered, error)

            if outcome == "other_account":
                others = [n for n in own if n != step.focus_id]
                card = str(others[0]) if others else PRIVATE
            if card == PRIVATE:
                step.offered = []
            elif int(card) == step.focus_id:
                step.offered = [n for n in step.requested if n in own]
            else:  # the card opens its own account only (domain A2.7, "other IBAN only")
                step.offered = [int(card)]
            step.card = card
            step.valid_days = int(valid_days) if valid_days else None
            step.history_days = int(history_days) if history_days else None
            key = new_secret()
            journey.browser_hash = digest(key)
            session["bank_visit"] = key
            return go("bank.consent", code=code, secret=secret)

    def passed(journey: Journey) -> bool:
        """Did this browser pass this bank's sign-in?"""
        key = session.get("bank_visit")
        return isinstance(key, str) and digest(key) == journey.browser_hash

    def consent_page(
        db: Session, journey: Journey, step: JourneyStep, bank: Bank, secret: str, error: str = ""
    ) -> Response:
        days = step.valid_days or bank.valid_days
        accounts = [db.get_one(BankAccount, n) for n in step.offered]
        return page(
            "bank_consent.html",
            422 if error else 200,
            bank=bank,
            accounts=accounts,
            focus=db.get_one(BankAccount, step.focus_id),
            private_iban=None if accounts else bookings.invented_iban(f"prive {journey.holder_id}"),
            until=world.end_of_validity(clock.now(), days),
            days=days,
            history_days=step.history_days,
            from_file=any(account.from_file for account in accounts),
            error=error,
            secret=secret,
            here=url_for("bank.consent", code=bank.code, secret=secret),
        )

    @routes.get("/authorise/<secret>/consent")
    def consent(code: str, secret: str) -> Response:
        with store.transaction() as db:
            found = visit(db, code, secret)
            if isinstance(found, Response):
                return found
            journey, step, bank = found
            if not passed(journey):
                return go("bank.sign_in", code=code, secret=secret)
            return consent_page(db, journey, step, bank, secret)

    @routes.post("/authorise/<secret>/consent")
    def decide(code: str, secret: str) -> Response:
        with store.transaction() as db:
            found = visit(db, code, secret)
            if isinstance(found, Response):
                return found
            journey, step, bank = found
            if not passed(journey):
                return go("bank.sign_in", code=code, secret=secret)
            if request.form.get("decision") != "confirm":
                return finish(journeys.fail(db, simulator, journey, "denied"), db)
            chosen = [n for n in step.offered if str(n) in request.form.getlist("account")]
            if step.offered and not chosen:
                sentence = _("Tick at least one account, or choose “Refuse”.")
                return consent_page(db, journey, step, bank, secret, sentence)
            step.authorised = chosen
            step.done_at = clock.real()
            journey.browser_hash = None
            session.pop("bank_visit", None)
            db.flush()
            following = journeys.current_step(db, journey)
            if following is not None:
                following_bank = db.get_one(Bank, following.bank_id)
                return go("bank.sign_in", code=following_bank.code, secret=secret)
            return finish(journeys.complete(db, simulator, journey), db)

    @routes.post("/authorise/<secret>/cancel")
    def cancel(code: str, secret: str) -> Response:
        with store.transaction() as db:
            found = visit(db, code, secret)
            if isinstance(found, Response):
                return found
            journey, _step, bank = found
            outcome = "outage" if bank.outage_since is not None else "cancelled"
            return finish(journeys.fail(db, simulator, journey, outcome), db)

    # ── my consents ──────────────────────────────────────────────────────────────────────────

    def no_bank() -> Response:
        return problem(404, _("This bank does not exist"), _("The address is not right."))

    @routes.get("/sign-in")
    def holder_sign_in(code: str) -> Response:
        with store.transaction() as db:
            bank = bank_named(db, code)
            return holder_sign_in_page(db, bank) if bank else no_bank()

    def holder_sign_in_page(db: Session, bank: Bank, error: str = "") -> Response:
        holders = db.scalars(
            select(Holder)
            .where(
                Holder.id.in_(
                    select(Owner.holder_id)
                    .join(BankAccount, BankAccount.id == Owner.bank_account_id)
                    .where(BankAccount.bank_id == bank.id)
                )
            )
            .order_by(Holder.name, Holder.id)
        ).all()
        return page(
            "bank_holder_sign_in.html",
            422 if error else 200,
            bank=bank,
            holders=holders,
            chosen=request.form.get("holder") or (holders[0].uuid if holders else ""),
            error=error,
            here=url_for("bank.holder_sign_in", code=bank.code),
        )

    @routes.post("/sign-in")
    def check_holder_sign_in(code: str) -> Response:
        with store.transaction() as db:
            bank = bank_named(db, code)
            if bank is None:
                return no_bank()
            uuid = request.form.get("holder", "")
            holder = db.scalar(select(Holder).where(Holder.uuid == uuid))
            if holder is None:
                return holder_sign_in_page(db, bank, _("Choose who you are."))
            if request.form.get("code") != DEMO_CODE:
                return holder_sign_in_page(db, bank, _("That code is not right. Demo: 1234"))
            sign_in_holder(db, simulator, holder, bank)
            return go("bank.consents", code=code)

    @routes.get("/consents")
    def consents(code: str) -> Response:
        now = clock.now()
        with store.transaction() as db:
            bank = bank_named(db, code)
            if bank is None:
                return no_bank()
            holder = signed_in(db, simulator, bank)
            if holder is None:
                return go("bank.holder_sign_in", code=code)
            rows: list[dict[str, Any]] = []
            for given in db.scalars(
                select(BankConsent)
                .where(BankConsent.holder_id == holder.id, BankConsent.bank_id == bank.id)
                .order_by(BankConsent.id.desc())
            ):
                if given.revoked_at is not None and given.revoked_at <= now:
                    state = "revoked"
                else:
                    state = "expired" if now > given.valid_until else "active"
                accounts = db.scalars(
                    select(BankAccount)
                    .join(AppAccount, AppAccount.bank_account_id == BankAccount.id)
                    .join(ConsentAccount, ConsentAccount.app_account_id == AppAccount.id)
                    .where(ConsentAccount.consent_id == given.id)
                    .order_by(BankAccount.id)
                ).all()
                if accounts:
                    rows.append({"consent": given, "state": state, "accounts": accounts})
            here = url_for("bank.consents", code=code)
            return page("bank_consents.html", bank=bank, holder=holder, rows=rows, here=here)

    @routes.post("/consents/<int:number>/revoke")
    def revoke(code: str, number: int) -> Response:
        now = clock.now()
        with store.transaction() as db:
            bank = bank_named(db, code)
            if bank is None:
                return no_bank()
            holder = signed_in(db, simulator, bank)
            if holder is None:
                return go("bank.holder_sign_in", code=code)
            given = db.get(BankConsent, number)
            if given is None or given.holder_id != holder.id or given.bank_id != bank.id:
                return problem(404, _("This consent does not exist"), _("Nothing has changed."),
                               back=url_for("bank.consents", code=code),
                               label=_("To my consents"))  # fmt: skip
            if given.revoked_at is None:
                given.revoked_at = now
            flash_once(_("Revoked. %(app)s notices at its next visit.",
                         app=simulator.config.app_name))  # fmt: skip
            return go("bank.consents", code=code)

    @routes.post("/sign-out")
    def leave_bank(code: str) -> Response:
        with store.transaction() as db:
            bank = bank_named(db, code)
            if bank is None:
                return no_bank()
            sign_out(db, simulator, bank)
            return go("app.home")

    return routes


def _days(text: str, least: int) -> bool:
    return text.isdecimal() and len(text) <= 4 and least <= int(text) <= LONGEST
