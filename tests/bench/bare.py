"""The floor of a page: a bare Flask application that checks the session, runs the indexed queries of
the page as Core rows and renders its template with words made beforehand.

It has no guard, no headers, no diagnosis, no words to find, and nothing of ours around the request.
The queries are those that the page itself asks, each once; who is signed in it asks for itself.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, abort, request, template_rendered, url_for
from sqlalchemy import Select, event, select

import app as composition
from banklink.store.models import User, UserSession
from banklink.web.factory import _static
from banklink.web.i18n import speak
from tests.bench.data import TOKEN

_USER, _SESSION = User.__table__, UserSession.__table__


class Page:
    """What one address of ours asks the database, and the template it renders with what."""

    def __init__(self, parts: composition.Banklink, path: str):
        self.selects: list[tuple[Select[Any], dict[str, Any]]] = []
        self.path = path
        client = parts.web.test_client()
        client.set_cookie("banklink-session", TOKEN, domain="localhost")
        self._get(client)  # what is made once is made
        engine = parts.services.store.engine
        event.listen(engine, "before_execute", self._keep)
        template_rendered.connect(self._rendered, parts.web)
        try:
            self._get(client)
        finally:
            event.remove(engine, "before_execute", self._keep)
            template_rendered.disconnect(self._rendered, parts.web)

    def _get(self, client: Any) -> None:
        answer = client.get(self.path, base_url="http://localhost")
        assert answer.status_code == 200, f"{self.path}: {answer.status}"

    def _keep(
        self, _connection: Any, clause: Any, _multi: Any, given: dict[str, Any], _options: Any
    ) -> None:
        if not isinstance(clause, Select):
            return
        asked = (clause, dict(given))
        of_the_session = _SESSION in clause.get_final_froms() or "sessions" in str(clause)
        if not of_the_session and asked not in self.selects:
            self.selects.append(asked)

    def _rendered(self, _app: Flask, template: Any, context: dict[str, Any], **_: Any) -> None:
        words = {
            name: value
            for name, value in context.items()
            if name not in ("g", "request", "session")
        }
        links, here = words["sections"](), words["here"]()
        words |= {"sections": lambda: links, "here": lambda: here, "filled": lambda form: form}
        self.template, self.words = template, words


def bare(parts: composition.Banklink, pages: dict[str, Page]) -> Flask:
    """Serves each page under its name."""
    app = Flask("bare", static_folder=None)
    app.secret_key = parts.web.secret_key
    app.config.update(parts.web.config)
    app.add_url_rule("/static/<path:filename>", "static", _static)
    reader = parts.services.store.engine.execution_options(readonly=True)
    signed_in = select(_USER, _SESSION).join(_SESSION, _SESSION.c.user_id == _USER.c.id)

    def view(name: str) -> str:
        page, now = pages[name], datetime.now(UTC)
        speak("nl")
        token = hashlib.sha256(request.cookies.get("banklink-session", "").encode()).hexdigest()
        with reader.connect() as connection:
            person = connection.execute(
                signed_in.where(
                    _SESSION.c.token_hash == token,
                    _SESSION.c.ended_at.is_(None),
                    _SESSION.c.expires_at > now,
                    _SESSION.c.last_seen_at > now - timedelta(hours=12),
                    _USER.c.disabled_at.is_(None),
                )
            ).one_or_none()
            if person is None:
                abort(401)
            for statement, given in page.selects:
                connection.execute(statement, given).all()
        text: str = page.template.render(page.words)
        return text

    app.add_url_rule("/<name>", "page", view)
    with app.test_request_context():
        assert url_for("static", filename="app.css") == "/static/app.css"
    return app
