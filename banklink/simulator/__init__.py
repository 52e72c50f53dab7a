"""The embedded entrepreneur app and its simulated banks.

A fair stand-in for the service between a bank and Banklink: it speaks Ponto Connect's wire
contract, so that the adapter which runs in the demo is the one that runs in production. It has its
own Flask app, its own SQLite file and its own origin, and knows nothing of Banklink's web app; the
two meet over HTTP only.

    simulator = create_simulator(SimulatorConfig(data, origin, clients)).extensions["simulator"]

Where to look
    clock.py        business time and real time        world.py     authorisations, syncs, balances
    model.py        tables; the store                  journeys.py  a visit to one or more banks
    oauth.py        tokens, codes, Authlib             consent.py   /oauth2/auth and its page
    api.py          /ponto-connect                     bank.py      /bank/<code>
    app_screens.py  /, /settings, /panel               load.py, seed.py, bookings.py   what fills it
    habits.py       what makes a bank hard to read

Pages and their controls, for tests that drive a browser. Every form is a plain POST with a hidden
`csrf_token`; every submit button carries `data-action`.
    every page                   banner `#simulation-banner`; notice `#notice`; language form
                                 `#language` with buttons `data-action="language-nl|language-en"`;
                                 `data-action="sign-out"` when signed in
    /sign-in                     `#sign-in`: radios `holder` (value: subject; `#holder-<n>`,
                                 `data-email`), `code`, `next`; `sign-in`
    /settings/accounts           rows `#account-<IBAN>` with `data-state=none|active|expired|
                                 revoked`; `renew` (both *Koppelen met bank* and *Autorisatie
                                 vernieuwen*), link `remove`; link `add`
    /settings/accounts/add       `#add`: checkboxes `account` (`data-iban`); `connect`, `later`
    /settings/accounts/<id>/remove   `remove-confirm`
    /settings/services           rows `.service` with `data-reference`; links `change`, `revoke`
    /settings/services/<id>/accounts `#ticks`: checkboxes `account` (`data-iban`); `save`
    /settings/services/<id>/revoke   `revoke-confirm`
    /oauth2/consent              `#consent`: checkboxes `account` (`data-iban`); buttons named
                                 `decision`: `allow`, `allow_later`, `deny` (also the data-action)
    /bank/<code>/authorise/<link>           `#bank-sign-in`: radios `card` (`data-iban`, or value
                                 `private`), `code`, test panel `outcome` (select), `valid_days`,
                                 `history_days`; `bank-sign-in`; `cancel`
    /bank/<code>/authorise/<link>/consent   `#bank-consent`: checkboxes `account` (`data-iban`);
                                 buttons named `decision`: `confirm`, `refuse`; `cancel`
    /bank/<code>/sign-in         `#bank-holder-sign-in`: radios `holder`, `code`; `bank-sign-in`
    /bank/<code>/consents        rows `.given` with `data-state`; `revoke-consent`; `bank-sign-out`
    /panel                       `#clock`: buttons `step` (`data-action="advance-<n>"`, n of 1, 7,
                                 30, 90, 181), field `days` with `advance`; per bank
                                 `#outage-<code>` with `outage-on` or `outage-off`, and
                                 `#habits-<code>` with a field for each of habits.py and `habits`;
                                 link `back`
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, request, url_for
from flask_wtf.csrf import CSRFError, CSRFProtect  # type: ignore[import-untyped]
from sqlalchemy import select
from werkzeug.exceptions import HTTPException, SecurityError

from banklink.paths import STATIC, TEMPLATES

from . import api, app_screens, bank, browser, consent, i18n, oauth
from . import load as loading
from . import seed as seeding
from .clock import DemoClock
from .habits import set_habits
from .i18n import gettext as _
from .load import LoadReport
from .model import Bank, BankAccount, Holder, Store

__all__ = ["Client", "LoadReport", "Simulator", "SimulatorConfig", "create_simulator"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Client:
    """A service that may ask holders for access; its redirect URIs are compared exactly."""

    id: str
    secret: str
    name: str
    redirect_uris: tuple[str, ...]

    @property
    def origin(self) -> str:
        """Where the service itself is reached."""
        parts = urlsplit(self.redirect_uris[0])
        return f"{parts.scheme}://{parts.netloc}"

    def __repr__(self) -> str:  # never the secret
        return f"Client({self.id!r})"


@dataclass(frozen=True)
class SimulatorConfig:
    """`data`: folder for the database and the key; `origin`: where this app is reached."""

    data: Path
    origin: str
    clients: tuple[Client, ...]
    app_name: str = "Ondernemersapp"
    default_locale: str = "nl"


class Simulator:
    """The simulated world, for the code that runs it."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.store = Store(Path(config.data) / "simulator.sqlite3")
        self.clock = DemoClock(self.store)

    def client(self, client_id: str) -> Client | None:
        return next((c for c in self.config.clients if c.id == client_id), None)

    def is_empty(self) -> bool:
        """True when there is no bank, no account and no holder yet."""
        with self.store.transaction() as db:
            return all(
                db.scalar(select(table.id).limit(1)) is None
                for table in (Bank, BankAccount, Holder)
            )

    def knows(self, email: str) -> bool:
        """Whether a holder with this e-mail address exists."""
        with self.store.transaction() as db:
            return db.scalar(select(Holder.id).where(Holder.email == email)) is not None

    def seed(self, world: Mapping[str, Any]) -> dict[str, Any]:
        """Create banks, holders, accounts and integrations from plain data, all or nothing.

        Days count back from the clock's business time. Returns, per integration, the holder's
        subject and a refresh token (None when it is revoked), which is not stored in clear.
        """
        with self.store.transaction() as db:
            return seeding.seed(db, world, self.clock.now(), self.clock.real())

    def accustom(self, code: str, **changes: Any) -> None:
        """Give a bank other habits (habits.py)."""
        with self.store.transaction() as db:
            bank = db.scalars(select(Bank).where(Bank.code == code)).one()
            set_habits(db, bank.id, changes)

    def load(
        self,
        paths: Iterable[Path],
        *,
        iban: str | None = None,
        bank: str | None = None,
        holder: str | None = None,
    ) -> list[LoadReport]:
        """Fill a bank with statement files; see `load.load`."""
        return loading.load(self, paths, iban=iban, bank=bank, holder=holder)

    def close(self) -> None:
        self.store.close()


def create_simulator(config: SimulatorConfig) -> Flask:
    """The simulator's own Flask app; `app.extensions["simulator"]` is its Simulator."""
    simulator = Simulator(config)
    key = _signing_key(Path(config.data) / "simulator.key")
    origin = urlsplit(config.origin)
    app = Flask(
        "banklink.simulator",
        root_path=str(Path(__file__).parent),
        template_folder=str(TEMPLATES),
        static_folder=str(STATIC),
        static_url_path="/static",
    )
    app.config.update(
        SECRET_KEY=key,
        SESSION_COOKIE_NAME="ondernemersapp_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=origin.scheme == "https",
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=256 * 1024,
        TRUSTED_HOSTS=[origin.hostname],
        DEFAULT_LOCALE=config.default_locale,
    )
    app.extensions["simulator"] = simulator
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    i18n.install(app)

    server = oauth.build_server(simulator)
    machines = (oauth.blueprint(simulator, server), api.blueprint(simulator))
    csrf = CSRFProtect(app)
    for routes in machines:
        csrf.exempt(routes)  # no cookies there: Basic and Bearer
        app.register_blueprint(routes)
    app.register_blueprint(consent.blueprint(simulator, server, key))
    app.register_blueprint(bank.blueprint(simulator))
    app.register_blueprint(app_screens.blueprint(simulator))

    @app.context_processor
    def everywhere() -> dict[str, Any]:
        return {
            "app_name": config.app_name,
            "locale": i18n.locale(),
            "now": simulator.clock.now(),
            "take_notice": browser.take_notice,
            "this_page": browser.here() if request.method == "GET" else url_for("app.home"),
        }

    policy = _content_policy(config.clients)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "same-origin"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    _handle_errors(app)
    return app


def _content_policy(clients: Iterable[Client]) -> str:
    """`form-action` names the clients: a form here is answered by a redirect to one of them, and
    Chromium holds redirects of a form to this list as well."""
    origins = {
        f"{parts.scheme}://{parts.netloc}"
        for client in clients
        for parts in map(urlsplit, client.redirect_uris)
    }
    targets = " ".join(["'self'", *sorted(origins)])
    return (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        f"form-action {targets}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def _signing_key(path: Path) -> str:
    """The key that signs cookies, beside the database and readable by its owner only."""
    if not path.exists() or not path.stat().st_size:  # a crash may have left it empty
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48), encoding="ascii")
    return path.read_text(encoding="ascii")


def _page_before() -> str:
    """The page a form was on, as far as the browser says and only on this origin."""
    before = urlsplit(request.referrer or "")
    if before.netloc != request.host:
        return url_for("app.home")
    path = f"{before.path}?{before.query}" if before.query else before.path
    return browser.local(path, url_for("app.home"))


def _handle_errors(app: Flask) -> None:
    """A machine gets its own error shape, a person a sentence and a way back."""

    @app.errorhandler(SecurityError)
    def foreign_host(error: SecurityError) -> Response:
        """Another host name points here (DNS rebinding): no page of ours, hence no template."""
        origin = app.extensions["simulator"].config.origin
        return Response(f"{origin}\n", status=400, mimetype="text/plain")

    def for_a_machine() -> bool:
        return request.path.startswith((api.PREFIX, "/oauth2/token", "/oauth2/revoke"))

    def machine_answer(status: int, code: str, detail: str) -> Response:
        if request.path.startswith(api.PREFIX):
            return api.answer({"errors": [{"code": code, "detail": detail}]}, status)
        return api.answer({"error": "invalid_request", "error_description": detail}, status)

    @app.errorhandler(CSRFError)
    def csrf(error: CSRFError) -> Response:
        return browser.problem(
            400,
            _("This page is too old"),
            _("Open the page again and try once more. Nothing has changed."),
            back=_page_before(),
            label=_("Open the page again"),
        )

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        if status < 400:
            return error.get_response()  # type: ignore[return-value]
        if for_a_machine():
            code = "resourceNotFound" if status == 404 else "badRequest"
            response = machine_answer(status, code, error.name)
        else:
            titles = {
                404: (_("This page does not exist"), _("The address is not right.")),
                405: (_("That is not possible here"), _("This address takes no such request.")),
                413: (_("That is too much"), _("More was sent than fits.")),
            }
            title, sentence = titles.get(
                status, (_("That request is not right"), _("Nothing has changed."))
            )
            response = browser.problem(status, title, sentence)
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        incident = secrets.token_hex(4)
        log.error("incident %s", incident, exc_info=error)
        if for_a_machine():
            return machine_answer(500, "internalServerError", f"Incident {incident}")
        return browser.problem(
            500,
            _("Something is broken here"),
            _("This is our mistake. Incident %(incident)s is in the log.", incident=incident),
        )
