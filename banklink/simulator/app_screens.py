"""The entrepreneur app: sign-in, bank accounts, connected services, and the demo's test panel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request, session, url_for
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from banklink.translations import LOCALES

from . import journeys, oauth, world
from .bank import bank_named
from .browser import (
    DEMO_CODE,
    flash_once,
    go,
    leave,
    local,
    page,
    problem,
    sign_in_first,
    sign_out,
    signed_in,
)
from .browser import sign_in as start_session
from .habits import habits_of, set_habits
from .i18n import day, grouped, ngettext
from .i18n import gettext as _
from .model import AppAccount, Bank, BankAccount, Holder, Integration, Tick

if TYPE_CHECKING:
    from . import Simulator

STEPS = (1, 7, 30, 90, 181)
LONGEST = 3660


def blueprint(simulator: Simulator) -> Blueprint:
    routes = Blueprint("app", __name__)
    store, clock = simulator.store, simulator.clock

    @routes.get("/")
    def home() -> Response:
        with store.transaction() as db:
            holder = signed_in(db, simulator)
            banks = db.scalars(select(Bank).order_by(Bank.name)).all()
            waiting = 0
            if holder is not None:
                waiting = sum(
                    1
                    for owned in world.owned_accounts(db, holder.id, clock.now())
                    if owned.app and owned.in_app is not world.State.ACTIVE
                )
        return page("home.html", holder=holder, banks=banks, waiting=waiting)

    @routes.post("/language")
    def language() -> Response:
        if request.form.get("locale") in LOCALES:
            session["locale"] = request.form["locale"]
        return leave(local(request.form.get("next"), url_for("app.home")))

    # ── signing in ───────────────────────────────────────────────────────────────────────────

    def sign_in_page(db: Session, error: str = "") -> Response:
        holders = db.scalars(select(Holder).order_by(Holder.name, Holder.id)).all()
        hint = request.args.get("email", "").lower()
        chosen = next((h.uuid for h in holders if h.email.lower() == hint), None)
        target = local(request.values.get("next"), url_for("app.accounts"))
        return page(
            "sign_in.html",
            422 if error else 200,
            holders=holders,
            chosen=request.form.get("holder") or chosen or (holders[0].uuid if holders else ""),
            next=target,
            error=error,
            here=url_for("app.sign_in", next=target),
        )

    @routes.get("/sign-in")
    def sign_in() -> Response:
        with store.transaction() as db:
            return sign_in_page(db)

    @routes.post("/sign-in")
    def check_sign_in() -> Response:
        with store.transaction() as db:
            uuid = request.form.get("holder", "")
            holder = db.scalar(select(Holder).where(Holder.uuid == uuid))
            if holder is None:
                return sign_in_page(db, _("Choose who you are."))
            if request.form.get("code") != DEMO_CODE:
                return sign_in_page(db, _("That code is not right. Demo: 1234"))
            start_session(db, simulator, holder)
            return leave(local(request.form.get("next"), url_for("app.accounts")))

    @routes.post("/sign-out")
    def leave_app() -> Response:
        with store.transaction() as db:
            sign_out(db, simulator)
        target = local(request.form.get("next"), "")
        return go("app.sign_in", next=target) if target else go("app.home")

    # ── bank accounts ────────────────────────────────────────────────────────────────────────

    @routes.get("/settings/accounts")
    def accounts() -> Response:
        now = clock.now()
        with store.transaction() as db:
            holder = signed_in(db, simulator)
            if holder is None:
                return sign_in_first()
            owned = world.owned_accounts(db, holder.id, now)
            rows: list[dict[str, Any]] = []
            for item in owned:
                if item.app is None:
                    continue
                until = item.valid_until
                rows.append(
                    {
                        "owned": item,
                        "days": (world.business_day(until) - world.business_day(now)).days
                        if until
                        else None,
                        "synchronized_at": item.app.synchronized_at,
                        "siblings": sum(
                            1 for other in owned if other.app and other.bank.id == item.bank.id
                        ),
                    }
                )
            addable = sum(1 for item in owned if item.app is None)
        waiting = sum(1 for row in rows if row["owned"].in_app is not world.State.ACTIVE)
        return page(
            "accounts.html", holder=holder, rows=rows, addable=addable, waiting=waiting,
            tab="accounts",
        )  # fmt: skip

    def mine(db: Session, uuid: str) -> tuple[Holder, AppAccount, BankAccount] | Response:
        holder = signed_in(db, simulator)
        if holder is None:
            return go("app.sign_in", next=url_for("app.accounts"))
        row = db.execute(
            select(AppAccount, BankAccount)
            .join(BankAccount, BankAccount.id == AppAccount.bank_account_id)
            .where(AppAccount.uuid == uuid, AppAccount.holder_id == holder.id)
        ).first()
        if row is None:
            return problem(
                404, _("This account is not in the app"), _("It may have been removed."),
                back=url_for("app.accounts"), label=_("To my bank accounts"),
            )  # fmt: skip
        return holder, row[0], row[1]

    def to_the_bank(db: Session, holder: Holder, account_ids: list[int]) -> Response:
        secret = journeys.start(
            db,
            kind="settings",
            holder_id=holder.id,
            account_ids=account_ids,
            return_uri=url_for("app.accounts"),
            now=clock.now(),
            real=clock.real(),
        )
        bank = db.get_one(Bank, db.get_one(BankAccount, account_ids[0]).bank_id)
        return go("bank.sign_in", code=bank.code, secret=secret)

    @routes.post("/settings/accounts/<uuid>/renew")
    def renew(uuid: str) -> Response:
        with store.transaction() as db:
            found = mine(db, uuid)
            if isinstance(found, Response):
                return found
            holder, _app_account, account = found
            return to_the_bank(db, holder, [account.id])

    @routes.get("/settings/accounts/<uuid>/remove")
    def confirm_removal(uuid: str) -> Response:
        with store.transaction() as db:
            found = mine(db, uuid)
            if isinstance(found, Response):
                return found
            holder, app_account, account = found
            readers = db.scalars(
                select(Integration)
                .join(Tick, Tick.integration_id == Integration.id)
                .where(Tick.app_account_id == app_account.id, Integration.revoked_at.is_(None))
            ).all()
            return page(
                "remove.html", holder=holder, app_account=app_account, account=account,
                readers=readers, tab="accounts",
            )  # fmt: skip

    @routes.post("/settings/accounts/<uuid>/remove")
    def remove(uuid: str) -> Response:
        with store.transaction() as db:
            found = mine(db, uuid)
            if isinstance(found, Response):
                return found
            _holder, app_account, account = found
            db.execute(delete(AppAccount).where(AppAccount.id == app_account.id))
            flash_once(_("%(iban)s has been removed.", iban=grouped(account.iban)))
            return go("app.accounts")

    def add_page(db: Session, holder: Holder, error: str = "") -> Response:
        owned = world.owned_accounts(db, holder.id, clock.now())
        choices = [item for item in owned if item.app is None]
        return page(
            "add.html", 422 if error else 200, holder=holder, choices=choices, error=error,
            tab="accounts", here=url_for("app.add"),
        )  # fmt: skip

    @routes.get("/settings/accounts/add")
    def add() -> Response:
        with store.transaction() as db:
            holder = signed_in(db, simulator)
            return add_page(db, holder) if holder else sign_in_first()

    @routes.post("/settings/accounts/add")
    def add_chosen() -> Response:
        now = clock.now()
        with store.transaction() as db:
            holder = signed_in(db, simulator)
            if holder is None:
                return sign_in_first()
            choices = {
                str(item.account.id): item
                for item in world.owned_accounts(db, holder.id, now)
                if item.app is None
            }
            chosen = [choices[n] for n in request.form.getlist("account") if n in choices]
            if not chosen:
                return add_page(db, holder, _("Tick at least one account."))
            for item in chosen:
                world.add_to_app(db, holder.id, item.account.id, now)
            count = len(chosen)
            flash_once(
                ngettext("%(num)s account has been added.",
                         "%(num)s accounts have been added.", count)
            )  # fmt: skip
            if request.form.get("decision") == "later":
                return go("app.accounts")
            return to_the_bank(db, holder, [item.account.id for item in chosen])

    # ── connected services ───────────────────────────────────────────────────────────────────

    @routes.get("/settings/services")
    def services() -> Response:
        with store.transaction() as db:
            holder = signed_in(db, simulator)
            if holder is None:
                return sign_in_first()
            total = len(db.scalars(
                select(AppAccount.id).where(AppAccount.holder_id == holder.id)
            ).all())  # fmt: skip
            rows = [
                {
                    "integration": item,
                    "client": simulator.client(item.client_id),
                    "accounts": world.ticked_accounts(db, item.id),
                }
                for item in db.scalars(
                    select(Integration)
                    .where(Integration.holder_id == holder.id, Integration.revoked_at.is_(None))
                    .order_by(Integration.id)
                )
            ]
            return page("services.html", holder=holder, rows=rows, total=total, tab="services")

    def service(db: Session, uuid: str) -> tuple[Holder, Integration] | Response:
        holder = signed_in(db, simulator)
        if holder is None:
            return go("app.sign_in", next=url_for("app.services"))
        found = db.scalar(
            select(Integration).where(
                Integration.uuid == uuid,
                Integration.holder_id == holder.id,
                Integration.revoked_at.is_(None),
            )
        )
        if found is None:
            return problem(
                404, _("This service has no access"), _("It may have been revoked already."),
                back=url_for("app.services"), label=_("To my connected services"),
            )  # fmt: skip
        return holder, found

    @routes.get("/settings/services/<uuid>/accounts")
    def ticks(uuid: str) -> Response:
        with store.transaction() as db:
            found = service(db, uuid)
            if isinstance(found, Response):
                return found
            holder, integration = found
            owned = [a for a in world.owned_accounts(db, holder.id, clock.now()) if a.app]
            ticked = {row[0].id for row in world.ticked_accounts(db, integration.id)}
            return page(
                "ticks.html", holder=holder, integration=integration, accounts=owned,
                client=simulator.client(integration.client_id), ticked=ticked, tab="services",
            )  # fmt: skip

    @routes.post("/settings/services/<uuid>/accounts")
    def change_ticks(uuid: str) -> Response:
        with store.transaction() as db:
            found = service(db, uuid)
            if isinstance(found, Response):
                return found
            holder, integration = found
            wanted = db.scalars(
                select(AppAccount.id).where(
                    AppAccount.holder_id == holder.id,
                    AppAccount.uuid.in_(request.form.getlist("account")),
                )
            ).all()
            world.replace_ticks(db, integration, wanted)
            flash_once(_("Saved."))
            return go("app.services")

    @routes.get("/settings/services/<uuid>/revoke")
    def confirm_revoke(uuid: str) -> Response:
        with store.transaction() as db:
            found = service(db, uuid)
            if isinstance(found, Response):
                return found
            holder, integration = found
            return page(
                "revoke.html", holder=holder, integration=integration,
                client=simulator.client(integration.client_id), tab="services",
            )  # fmt: skip

    @routes.post("/settings/services/<uuid>/revoke")
    def revoke(uuid: str) -> Response:
        with store.transaction() as db:
            found = service(db, uuid)
            if isinstance(found, Response):
                return found
            _holder, integration = found
            integration.revoked_at = clock.now()
            oauth.revoke_families(db, integration.id, clock.real())
            flash_once(_("The access of %(label)s has been revoked.", label=integration.label))
            return go("app.services")

    # ── the test panel ───────────────────────────────────────────────────────────────────────

    def panel_page(error: str = "", entered: str = "") -> Response:
        back = local(request.values.get("back"), url_for("app.home"))
        with store.transaction() as db:
            banks = db.scalars(select(Bank).order_by(Bank.name)).all()
            ways = {bank.id: habits_of(db, bank.id) for bank in banks}
        return page(
            "panel.html", 422 if error else 200, banks=banks, habits=ways,
            today=clock.now(), back=back, real=clock.real(),
            moved=clock.now() - clock.real() > timedelta(minutes=1),
            steps=STEPS, error=error, entered=entered, here=url_for("app.panel", **came_from()),  # type: ignore[arg-type]
            came_from=came_from(), client=simulator.client(request.values.get("client", "")),
        )  # fmt: skip

    def came_from() -> dict[str, str]:
        """Where the panel leads back to: a page of the app, or the service it was opened from."""
        if simulator.client(request.values.get("client", "")) is not None:
            return {"client": request.values["client"]}
        return {"back": local(request.values.get("back"), url_for("app.home"))}

    @routes.get("/panel")
    def panel() -> Response:
        return panel_page()

    @routes.post("/panel/clock")
    def move_clock() -> Response:
        text = request.form.get("days", "").strip()
        if request.form.get("step", "").isdecimal():
            text = request.form["step"]
        if not (text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= LONGEST):
            error = _("Fill in a number of days from 1 to %(most)s.", most=LONGEST)
            return panel_page(error, text)
        clock.advance(timedelta(days=int(text)))
        flash_once(_("The clock now says %(day)s.", day=day(clock.now())))
        return go("app.panel", **came_from())

    @routes.post("/panel/bank/<code>/outage")
    def outage(code: str) -> Response:
        with store.transaction() as db:
            bank = bank_named(db, code)
            if bank is None:
                return problem(404, _("This bank does not exist"), _("The address is not right."))
            if request.form.get("outage") == "on":
                bank.outage_since = bank.outage_since or clock.now()
            else:
                bank.outage_since = None
        return go("app.panel", **came_from())

    @routes.post("/panel/bank/<code>/habits")
    def habits(code: str) -> Response:
        try:
            with store.transaction() as db:
                bank = bank_named(db, code)
                if bank is None:
                    return problem(
                        404, _("This bank does not exist"), _("The address is not right.")
                    )
                set_habits(db, bank.id, _habits(request.form))
        except ValueError:
            return panel_page(_("Fill in whole numbers; a bank is at most ten days late."))
        flash_once(_("From now on %(bank)s does as you said.", bank=bank.name))
        return go("app.panel", **came_from())

    return routes


def _habits(form: Mapping[str, str]) -> dict[str, Any]:
    """As entered on the panel; raises ValueError."""

    def number(name: str) -> int | None:
        text = form.get(name, "").strip()
        if len(text) > 4 or (text and not text.isdecimal()):
            raise ValueError(name)
        return int(text) if text else None

    return {
        **{name: form.get(name, "") for name in ("ids", "balance", "retry_after")},
        **{name: name in form for name in ("new_refs", "twins", "shifting", "announces")},
        **{name: number(name) for name in ("recent_days", "budget")},
        "late_days": number("late_days") or 0,
    }
