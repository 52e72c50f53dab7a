"""Puts the web application together: blueprints, language, headers, errors, who is signed in."""

from __future__ import annotations

import hashlib
import logging
import secrets
from base64 import b64encode
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
    url_for,
)
from flask_wtf.csrf import CSRFError, CSRFProtect
from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions.pace import Pace
from banklink.paths import STATIC, TEMPLATES
from banklink.settings import Settings
from banklink.store.database import Store, prepare
from banklink.store.models import db
from banklink.translations import LOCALES
from banklink.web import (
    access,
    account,
    books,
    connections,
    consents,
    coverage,
    doors,
    everybody,
    exports,
    fetches,
    gallery,
    help,
    holders,
    invitations,
    journals,
    landing,
    maintenance,
    office,
    office_requests,
    outbox,
    people,
    provider,
    reminders,
    returned,
    review,
    signing,
    start,
    transactions,
    uploads,
)
from banklink.web.addresses import is_htmx, path_to
from banklink.web.context import House, at
from banklink.web.i18n import _, day, fall_silent, gettext, ngettext, speak
from banklink.web.kept import filled
from banklink.web.sections import sections
from banklink.web.viewmodel import Link

log = logging.getLogger(__name__)

HTMX = "https://cdn.jsdelivr.net/npm/htmx.org@2.0.10/dist/htmx.min.js"
HTMX_INTEGRITY = "sha384-H5SrcfygHmAuTDZphMHqBJLc3FhssKjG7w/CeCpFReSfwBWDTKpkzPP8c+cLsK+V"

_ERRORS: dict[int, tuple[str, str]] = {}


def create_database(settings: Settings, secret_key: str) -> tuple[Flask, Store]:
    """The Flask application with its database, before anything knows the other parts."""
    app = Flask(
        "banklink", template_folder=str(TEMPLATES), static_folder=None, root_path=str(TEMPLATES)
    )
    https = settings.origin.startswith("https:")
    app.config.update(
        SECRET_KEY=secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={
            "pool_size": 20,
            "max_overflow": 10,
            # A file does not go away between two requests, as a server may.
            "pool_pre_ping": not settings.database_url.startswith("sqlite:"),
            "hide_parameters": True,  # an error names the statement, never what was in it
        },
        SESSION_COOKIE_NAME="__Host-banklink" if https else "banklink",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        PERMANENT_SESSION_LIFETIME=60 * 60 * 24 * 180,
        SESSION_REFRESH_EACH_REQUEST=False,  # _keep_cookie does, once a day
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=1024 * 1024,
    )
    db.init_app(app)
    with app.app_context():
        store = prepare(db.engine)
    return app, store


def furnish(app: Flask, house: House) -> Flask:
    """Everything else. `house` carries what the composition root made. Raises UndeclaredRoute when
    nobody said who may ask for a route."""
    app.extensions["banklink"] = house
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.bytecode_cache = _Compiled(house.settings.data / "compiled")
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: gettext(text), lambda one, many, n: ngettext(one, many, n), newstyle=True
    )
    app.jinja_env.globals.update(asset=_asset, _=_translate)
    app.before_request(_who)
    app.teardown_request(fall_silent)
    app.before_request(_room)
    csrf = CSRFProtect(app)
    csrf.exempt(reminders.stop)  # why that is safe stands there
    app.after_request(_headers)
    app.context_processor(_common)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _incident)
    for module in (
        maintenance,
        connections,
        transactions,
        review,
        coverage,
        fetches,
        invitations,
        holders,
        landing,
        returned,
        gallery,
        help,
        account,
        doors,
        people,
        consents,
        everybody,
        start,
        books,
        journals,
        provider,
        outbox,
        reminders,
        office,
        office_requests,
        uploads,
        exports,
    ):
        app.register_blueprint(module.blueprint)
    app.add_url_rule("/healthz", "healthz", _healthz)
    app.add_url_rule("/static/<path:filename>", "static", _static)
    app.add_url_rule("/assets/htmx.min.js", "htmx", _htmx)
    app.add_url_rule("/badge/<int:number>.svg", "badge", _badge)
    app.add_url_rule("/language", "language", _language, methods=["POST"])
    access.declared(app)
    app.wsgi_app = _answering(app.wsgi_app, house.services.pace)  # type: ignore[method-assign]
    return app


def _answering(serve: Any, pace: Pace) -> Any:
    """Lets long work know that somebody waits."""

    def answering(environ: Any, start_response: Any) -> Any:
        with pace.somebody():
            return serve(environ, start_response)

    return answering


class _Compiled(FileSystemBytecodeCache):
    """Templates as they were compiled before, kept beside the database: the first page after a
    start waits for nothing else so long. Only a help: where nothing can be kept, nothing is. Made
    anew when a template changes."""

    def __init__(self, folder: Path):
        super().__init__(str(folder), "%s")
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            super().dump_bytecode(bucket)


def _translate(message: str, **params: object) -> str:
    return gettext(message, **params)


# -- who and how --------------------------------------------------------------------------------

_LARGE = 21 * 1024 * 1024
_OPEN = frozenset({"healthz", "static", "htmx", "badge"})


def _who() -> BaseResponse | None:
    house: House = _house()
    chosen = session.get("locale")
    speak(chosen if chosen in LOCALES else house.settings.locale)
    if request.endpoint in _OPEN:
        return None
    if house.settings.demo and not _only_here():
        g.shut = True
        abort(403)
    if not house.settings.demo and not _our_name():
        g.shut = True
        abort(421)
    _keep_cookie()
    g.person = house.load_user() if house.load_user else signing.load_person()
    return access.guard()


def _keep_cookie() -> None:
    """A cookie that is kept is kept on as long as it is used. Signing it anew with every answer
    would cost more than asking who is there."""
    today = at().real.date().isoformat()
    if session.permanent and session.get("cookie_of") != today:
        session["cookie_of"] = today


def _room() -> None:
    """A list of journals and a statement file may be large; nothing else that is sent here is.
    After `_who`, so that only who may send them gets the room, and before the CSRF check reads the
    form. More than that is refused by its announced length, before any of it is read."""
    if request.endpoint == journals.UPLOAD:
        request.max_content_length = request.max_form_memory_size = _LARGE
    elif request.endpoint == uploads.UPLOAD:
        request.max_content_length = _LARGE


def _house() -> House:
    from banklink.web.context import house

    return house()


def _only_here() -> bool:
    """The demo is signed in by itself, so it answers this machine alone: a name that leads here
    from elsewhere, or a proxy in between, is turned away (DNS rebinding)."""
    host = urlsplit(f"//{request.host}").hostname
    forwarded = any(
        request.headers.get(name)
        for name in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "Via")
    )
    return host == "localhost" and not forwarded and request.remote_addr in ("127.0.0.1", "::1")


def _our_name() -> bool:
    """Whether the request is for the address people use: another name that leads here could read
    pages with the visitor's own browser (DNS rebinding) or put itself into links."""
    asked = urlsplit(f"//{request.host}").hostname
    return asked == urlsplit(_house().settings.origin).hostname


def _headers(response: Response) -> Response:
    cdn = "" if _house().settings.assets_local else f" {HTMX.rsplit('/', 2)[0]}/"
    response.headers.setdefault(
        "Content-Security-Policy",
        f"default-src 'none'; script-src 'self'{cdn}; style-src 'self'; img-src 'self' data:;"
        " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'" + ("; frame-src 'self'" if g.get("frames") else ""),
    )
    if _house().settings.origin.startswith("https:"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint not in ("static", "htmx", "badge"):
        response.headers["Cache-Control"] = "no-store"
        response.vary.update(("Cookie", "HX-Request"))
    return response


def _common() -> dict[str, Any]:
    house = _house()
    person = g.get("person")
    demo = house.demo
    return {
        "app_name": house.settings.app_name,
        "provider_name": house.settings.provider_name,
        "locale": g.get("locale", house.settings.locale),
        "user": {
            "name": person.name,
            "account_url": path_to("account.page"),
            "sign_out_url": path_to("doors.sign_out") if person.session_id else None,
        }
        if person
        else None,
        "cdn": {"url": HTMX, "integrity": HTMX_INTEGRITY, "local": path_to("htmx")},
        "assets_local": house.settings.assets_local,
        "home_url": path_to("maintenance.page"),
        "here": _here,
        "language_url": path_to("language"),
        "sections": sections,
        "filled": filled,
        "demo": {
            "simulator_url": demo.simulator_url,
            "simulator_name": house.settings.provider_name,
            "panel_url": demo.panel_url,
            "gallery_url": path_to("gallery.page"),
            "today": day(at().today),
        }
        if demo and not g.get("shut")
        else None,
    }


def _here() -> str:
    """The address that shows this page again. The answer to a form may stand at an address that
    only takes forms; then where `g.stay` says, else the list."""
    if "stay" in g:
        return str(g.stay)
    reading = request.method in ("GET", "HEAD")
    try:
        current_app.url_map.bind("").match(request.path, method="GET")
    except NotFound:
        return request.full_path if reading else url_for("maintenance.page")
    except HTTPException:
        return url_for("maintenance.page")
    return request.full_path if reading else request.path


# -- small pages --------------------------------------------------------------------------------


def _healthz() -> Response:
    """200 once migrations and demo data are in: the server listens only then."""
    return Response("ok\n", mimetype="text/plain")


def _language() -> BaseResponse:
    wanted = request.form.get("locale")
    if wanted in LOCALES:
        session["locale"] = wanted
        session.permanent = True
    target = access.local(request.form.get("next", ""))
    return redirect(target or url_for("maintenance.page"), 303)


def _static(filename: str) -> Response:
    response = send_from_directory(Path(STATIC), filename)
    if request.args.get("v"):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _badge(number: int) -> Response:
    """The browser tab's icon with the number of things to do in it."""
    text = str(number) if number < 100 else "99+"
    response = Response(render_template("badge.svg", text=text), mimetype="image/svg+xml")
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@cache
def _asset(name: str) -> str:
    return url_for("static", filename=name, v=_fingerprint(name))


@cache
def _fingerprint(name: str) -> str:
    return hashlib.sha256((Path(STATIC) / name).read_bytes()).hexdigest()[:12]


def _htmx() -> Response:
    """The local copy, byte for byte the CDN's: anything else is not served."""
    content = _local_htmx()
    if content is None:
        abort(404)
    response = Response(content, mimetype="text/javascript")
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@cache
def _local_htmx() -> bytes | None:
    try:
        folder = resources.files("django_htmx") / "static" / "django_htmx"
        content = (folder / "htmx-2.min.js").read_bytes()
    except (ModuleNotFoundError, OSError):
        return None
    digest = "sha384-" + b64encode(hashlib.sha384(content).digest()).decode()
    return content if digest == HTMX_INTEGRITY else None


# -- errors -------------------------------------------------------------------------------------


def _message(status: int, title: str, text: str, incident: str | None = None) -> tuple[str, int]:
    g.bare = True  # no links that would ask the database, which may be what failed
    page = render_template(
        "pages/message.html",
        title=title,
        text=text,
        tone="error" if status >= 500 else "todo",
        back=None
        if g.get("shut")
        else Link(label=_("To the list"), url=url_for("maintenance.page")),
        incident=incident,
    )
    return page, status


def _http_error(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400:
        return error
    if status == 421:
        return _message(
            421,
            _("Another address"),
            _("Open %(origin)s; at this address nobody answers.", origin=_house().settings.origin),
        )
    if g.get("shut"):
        return _message(
            403,
            _("Only on this machine"),
            _(
                "The demo is signed in by itself, so it opens only at http://localhost:%(port)s"
                " on the machine it runs on, without a proxy in between.",
                port=_house().settings.port,
            ),
        )
    if isinstance(error, CSRFError):
        title = _("This page was too old")
        text = _(
            "Nothing was changed. Go back, reload the page and try again; what you typed is"
            " still in the form."
        )
    elif status == 403:
        title = _("Not with your role")
        text = _(
            "You may look, but this is for others to change. Nothing was changed. Ask an"
            " administrator to do it, or to give you another role."
        )
    elif status == 404:
        title, text = _("Not found"), _("There is nothing at this address, or not for you.")
    elif status == 405:
        title, text = _("Not this way"), _("This address is only used by a button on a page.")
    elif status == 413 and request.endpoint == uploads.UPLOAD:
        return uploads.too_large(**(request.view_args or {})), 413
    elif status == 413:
        title, text = _("Too large"), _("What was sent is too large. Nothing was changed.")
    elif status >= 500:
        return _incident(error)
    else:
        title = _("That did not work")
        text = _("The request was not complete, so nothing was changed. Go back and try again.")
    if is_htmx() and (status == 403 or isinstance(error, CSRFError)):
        return jsonify(text=text), status
    return _message(status, title, text)


def _incident(error: Exception) -> Any:
    """A bug: the log has the story, the page has its number."""
    if isinstance(error, HTTPException) and (error.code or 500) < 500:
        return _http_error(error)
    number = secrets.token_hex(4)
    log.error("incident %s at %s %s", number, request.method, _path(), exc_info=error)
    return _message(
        500,
        _("That went wrong on our side"),
        _("What was stored is as it was. Go back to the list and try again."),
        number,
    )


def _path() -> str:
    """The address for the log. The token of a link that works once may still be good after the bug,
    and whoever reads the log could use it."""
    token = (request.view_args or {}).get("token")
    return request.path.replace(token, "…") if token else request.path
