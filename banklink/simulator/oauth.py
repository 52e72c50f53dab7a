"""The OAuth 2 side: tokens and codes, on Authlib's server, with its known gaps closed.

Where this differs from Authlib's examples, and why (RFC 9700, ASVS 5.0 V10):
  * PKCE with S256 is required of confidential clients too; Authlib forces it on public ones only
    and accepts `plain`.
  * A code, and a refresh token, is consumed by one conditional UPDATE in the transaction that
    writes the new tokens. Check-then-act would let parallel requests all succeed.
  * Used codes and tokens stay in the database. Reuse is then visible, and ends the whole family.
  * Refresh tokens rotate, keep the family's absolute expiry, and are bound to their client.
  * Only hashes are stored. Authlib logs whole tokens at DEBUG, so its logger is pinned to INFO.
  * The authorisation response is built here, not by Authlib: it comes at the end of a visit to
    one or more banks, in another request than the one that asked.
"""

from __future__ import annotations

import hmac
import logging
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from .model import AuthorisationCode, Integration, Token, TokenFamily, digest, new_secret

if TYPE_CHECKING:
    from . import Client, Simulator

ACCESS_SECONDS = 1799
CODE_SECONDS = 60
FAMILY_LIFE = timedelta(days=365)
SCOPES = ("offline_access", "ai")
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


def with_query(uri: str, parameters: list[tuple[str, str]]) -> str:
    """`uri` with parameters appended; its own query is kept as it is."""
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode(parameters)}"


# ── the token store ──────────────────────────────────────────────────────────────────────────


def issue_code(
    session: Session,
    *,
    client_id: str,
    integration_id: int,
    redirect_uri: str,
    scope: str,
    code_challenge: str | None,
    code_challenge_method: str | None,
    real: datetime,
) -> str:
    """A new single-use code, valid for a minute of real time."""
    code = new_secret()
    session.add(
        AuthorisationCode(
            hash=digest(code),
            client_id=client_id,
            integration_id=integration_id,
            redirect_uri=redirect_uri,
            scope=scope,
            code_challenge=code_challenge,
            code_challenge_method=code_challenge_method,
            expires_at=real + timedelta(seconds=CODE_SECONDS),
        )
    )
    return code


def new_family(
    session: Session, client_id: str, integration_id: int | None, scope: str, real: datetime
) -> TokenFamily:
    family = TokenFamily(
        client_id=client_id,
        integration_id=integration_id,
        scope=scope,
        created_at=real,
        expires_at=real + FAMILY_LIFE,
    )
    session.add(family)
    session.flush()
    return family


def store_tokens(
    session: Session, family: TokenFamily, access: str | None, refresh: str | None, real: datetime
) -> None:
    if access:
        expires = min(real + timedelta(seconds=ACCESS_SECONDS), family.expires_at)
        session.add(
            Token(hash=digest(access), kind="access", family_id=family.id, expires_at=expires)
        )
    if refresh:
        session.add(
            Token(
                hash=digest(refresh),
                kind="refresh",
                family_id=family.id,
                expires_at=family.expires_at,
            )
        )


def revoke_families(session: Session, integration_id: int, real: datetime) -> None:
    """End every token of an integration: the holder, or the client, withdrew the access."""
    session.execute(
        update(TokenFamily)
        .where(
            TokenFamily.integration_id == integration_id,
            TokenFamily.revoked_at.is_(None),
        )
        .values(revoked_at=real)
    )


def revoke_family(session: Session, family_id: int, real: datetime) -> None:
    session.execute(
        update(TokenFamily)
        .where(TokenFamily.id == family_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=real)
    )


@dataclass(frozen=True)
class Bearer:
    """Who is calling: a client, for itself or with one holder's integration."""

    client_id: str
    integration: Integration | None


def bearer(session: Session, token: str, real: datetime) -> Bearer | None:
    """The caller an access token stands for; None when it is unknown, old or revoked."""
    row = session.execute(
        select(Token, TokenFamily)
        .join(TokenFamily, TokenFamily.id == Token.family_id)
        .where(Token.hash == digest(token), Token.kind == "access")
    ).first()
    if row is None:
        return None
    found, family = row
    if family.revoked_at is not None or found.expires_at <= real:
        return None
    integration = None
    if family.integration_id is not None:
        integration = session.get_one(Integration, family.integration_id)
        if integration.revoked_at is not None:
            return None
    return Bearer(family.client_id, integration)


# ── Authlib's server ─────────────────────────────────────────────────────────────────────────


@dataclass
class Grantee:
    """What Authlib passes around as client: our registered client behind its interface."""

    client: Client

    @property
    def client_id(self) -> str:
        return self.client.id

    def get_client_id(self) -> str:
        return self.client.id

    def get_default_redirect_uri(self) -> None:
        return None  # redirect_uri must always be given

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The scope asked for, or None (= invalid_scope) when any part of it is unknown."""
        asked = (scope or "").split()
        if "ai" not in asked or not set(asked) <= set(SCOPES):
            return None
        return " ".join(s for s in SCOPES if s in asked)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.client.redirect_uris  # exactly; RFC 9700 §2.1

    def check_client_secret(self, client_secret: str) -> bool:
        return hmac.compare_digest(client_secret.encode(), self.client.secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in GRANT_TYPES


@dataclass
class Refresh:
    """A refresh token as Authlib wants to see it."""

    token: Token
    family: TokenFamily

    def check_client(self, client: Grantee) -> bool:
        return self.family.client_id == client.client_id

    def get_scope(self) -> str:
        return self.family.scope


@dataclass
class Server:
    """The Authlib server and the exception type its routes have to catch."""

    authlib: Any
    error: type[Exception]
    simulator: Simulator = field(repr=False)


def build_server(simulator: Simulator) -> Server:
    """Assemble Authlib for this simulator. Authlib refuses plain http unless told otherwise;
    this origin is loopback http and nothing else, so it is told."""
    if urlsplit(simulator.config.origin).scheme == "http":
        os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    logger = logging.getLogger("authlib")
    logger.setLevel(max(logger.level, logging.INFO))

    from authlib.integrations.flask_oauth2 import AuthorizationServer  # type: ignore[import-untyped]
    from authlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]
    from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, grants  # type: ignore[import-untyped]
    from authlib.oauth2.rfc7009 import RevocationEndpoint  # type: ignore[import-untyped]
    from authlib.oauth2.rfc7636 import CodeChallenge  # type: ignore[import-untyped]

    store, clock = simulator.store, simulator.clock

    class RequireS256(CodeChallenge):  # type: ignore[misc]
        SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

        def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
            payload = grant.request.payload.data
            if not payload.get("code_challenge"):
                raise InvalidRequestError("Missing 'code_challenge'")
            if payload.get("code_challenge_method") != "S256":
                raise InvalidRequestError("Unsupported 'code_challenge_method'")
            super().validate_code_challenge(grant, redirect_uri)

        def validate_code_verifier(self, grant: Any, result: Any) -> None:
            code = grant.request.authorization_code
            if not code.code_challenge or code.code_challenge_method != "S256":
                raise InvalidGrantError("This code was issued without S256.")
            super().validate_code_verifier(grant, result)

    class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

        def query_authorization_code(self, code: str, client: Grantee) -> Any:
            real = clock.real()
            with store.transaction() as session:
                found = session.scalar(
                    select(AuthorisationCode).where(
                        AuthorisationCode.hash == digest(code),
                        AuthorisationCode.client_id == client.client_id,
                    )
                )
                if found is None:
                    return None
                if found.used_at is not None:  # ASVS 10.4.2: reuse ends what the first use gave
                    if found.family_id is not None:
                        revoke_family(session, found.family_id, real)
                    return None
                return found if found.expires_at > real else None

        def authenticate_user(self, authorization_code: AuthorisationCode) -> Any:
            return authorization_code.integration_id

        def delete_authorization_code(self, authorization_code: AuthorisationCode) -> None:
            """Kept: a deleted code cannot be recognised when it comes back."""

    class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
            real = clock.real()
            with store.transaction() as session:
                row = session.execute(
                    select(Token, TokenFamily)
                    .join(TokenFamily, TokenFamily.id == Token.family_id)
                    .where(Token.hash == digest(refresh_token), Token.kind == "refresh")
                ).first()
                if row is None or row[1].client_id != self.request.client.client_id:
                    return None
                token, family = row
                if family.revoked_at is not None or token.expires_at <= real:
                    return None
                if token.used_at is not None:  # RFC 9700 §4.14: reuse ends the family
                    revoke_family(session, family.id, real)
                    return None
                return Refresh(token, family)

        def authenticate_user(self, refresh_token: Refresh) -> Any:
            return refresh_token.family.integration_id

        def revoke_old_credential(self, refresh_token: Refresh) -> None:
            """Done in `save_token`, in the transaction that stores the successor."""

    class ClientGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

    class Revocation(RevocationEndpoint):  # type: ignore[misc]
        ENDPOINT_NAME = "revocation"
        CLIENT_AUTH_METHODS = ["client_secret_basic"]

        def query_token(self, token_string: str, token_type_hint: str | None) -> Refresh | None:
            with store.transaction() as session:
                row = session.execute(
                    select(Token, TokenFamily)
                    .join(TokenFamily, TokenFamily.id == Token.family_id)
                    .where(Token.hash == digest(token_string))
                ).first()
                return Refresh(*row) if row else None

        def revoke_token(self, token: Refresh, request: Any) -> None:
            """A refresh token takes its family along. When that was the last living family, and no
            code waits to become another, the client has given up its access, and the holder sees
            the integration as ended."""
            real, now = clock.real(), clock.now()
            with store.transaction() as session:
                if token.token.kind == "access":
                    session.get_one(Token, token.token.id).expires_at = real
                    return
                revoke_family(session, token.family.id, real)
                if token.family.integration_id is None:
                    return
                living = session.scalar(
                    select(TokenFamily.id).where(
                        TokenFamily.integration_id == token.family.integration_id,
                        TokenFamily.revoked_at.is_(None),
                        TokenFamily.expires_at > real,
                    )
                )
                # A permission given again, of which the client has yet to fetch the tokens.
                on_its_way = session.scalar(
                    select(AuthorisationCode.id).where(
                        AuthorisationCode.integration_id == token.family.integration_id,
                        AuthorisationCode.used_at.is_(None),
                        AuthorisationCode.expires_at > real,
                    )
                )
                if living is None and on_its_way is None:
                    session.execute(
                        update(Integration)
                        .where(
                            Integration.id == token.family.integration_id,
                            Integration.revoked_at.is_(None),
                        )
                        .values(revoked_at=now)
                    )

    def query_client(client_id: str) -> Grantee | None:
        client = simulator.client(client_id)
        return Grantee(client) if client else None

    def save_token(token: dict[str, Any], asked: Any) -> None:
        """Consume what was presented and store what replaces it, in one transaction."""
        real = clock.real()
        access, refresh = token["access_token"], token.get("refresh_token")
        code = getattr(asked, "authorization_code", None)
        old = getattr(asked, "refresh_token", None)
        reused = False
        with store.transaction() as session:
            if code is not None:
                family = new_family(
                    session, code.client_id, code.integration_id, token["scope"], real
                )
                won = session.execute(
                    update(AuthorisationCode)
                    .where(
                        AuthorisationCode.id == code.id,
                        AuthorisationCode.used_at.is_(None),
                        AuthorisationCode.expires_at > real,
                    )
                    .values(used_at=real, family_id=family.id)
                ).rowcount  # type: ignore[attr-defined]
                if won:
                    store_tokens(session, family, access, refresh, real)
                    # Families of earlier permissions live on: who permits again, perhaps in another
                    # browser, breaks nothing that runs until the client has taken the new one in.
                else:
                    reused = True
                    session.delete(family)
                    used = session.get_one(AuthorisationCode, code.id, populate_existing=True)
                    if used.family_id is not None:
                        revoke_family(session, used.family_id, real)
            elif isinstance(old, Refresh):
                alive = select(TokenFamily.id).where(TokenFamily.revoked_at.is_(None))
                won = session.execute(
                    update(Token)
                    .where(
                        Token.id == old.token.id,
                        Token.used_at.is_(None),
                        Token.family_id.in_(alive),
                    )
                    .values(used_at=real)
                ).rowcount  # type: ignore[attr-defined]
                if won:
                    store_tokens(session, old.family, access, refresh, real)
                else:
                    reused = True
                    revoke_family(session, old.family.id, real)
            else:
                client_id = asked.client.client_id
                family = new_family(session, client_id, None, token["scope"], real)
                store_tokens(session, family, access, None, real)
        if reused:  # only now: raising inside would roll the revocation back
            raise InvalidGrantError("This code or token has been used before.")

    def generate(
        grant_type: str,
        client: Grantee,
        user: Any = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, Any]:
        allowed = client.get_allowed_scope(scope or "ai") or "ai"
        token: dict[str, Any] = {
            "access_token": new_secret(),
            "expires_in": ACCESS_SECONDS,
            "scope": allowed,
            "token_type": "bearer",
        }
        if include_refresh_token and "offline_access" in allowed.split():
            token["refresh_token"] = new_secret()
        return token

    server = AuthorizationServer(query_client=query_client, save_token=save_token)
    server.register_token_generator("default", generate)
    server.scopes_supported = list(SCOPES)
    server.register_grant(CodeGrant, [RequireS256(required=True)])
    server.register_grant(RefreshGrant)
    server.register_grant(ClientGrant)
    server.register_endpoint(Revocation)
    return Server(server, OAuth2Error, simulator)


# ── the endpoints machines talk to ───────────────────────────────────────────────────────────


def blueprint(simulator: Simulator, server: Server) -> Blueprint:
    routes = Blueprint("oauth", __name__)
    origin = simulator.config.origin

    def refusal(error: str, description: str, status: int = 400) -> Response:
        response = jsonify(error=error, error_description=description)
        response.status_code = status
        return response

    def unacceptable() -> Response | None:
        """Nothing secret may arrive in a URL, and nothing twice (RFC 6749 §3.2)."""
        if request.args:
            return refusal("invalid_request", "Parameters belong in the body.")
        if any(len(request.form.getlist(name)) > 1 for name in request.form):
            return refusal("invalid_request", "A parameter was given twice.")
        return None

    @routes.post("/oauth2/token")
    def token() -> Response:
        refused = unacceptable()
        if refused:
            return refused
        try:
            response: Response = server.authlib.create_token_response()
        except ValueError:  # Authlib: undecodable Basic credentials, odd characters
            return refusal("invalid_request", "The request could not be read.")
        return response

    @routes.post("/oauth2/revoke")
    def revoke() -> Response:
        refused = unacceptable()
        if refused:
            return refused
        try:
            response: Response = server.authlib.create_endpoint_response("revocation")
        except ValueError:
            return refusal("invalid_request", "The request could not be read.")
        return response

    @routes.get("/.well-known/oauth-authorization-server")
    def metadata() -> Response:
        return jsonify(
            issuer=origin,
            authorization_endpoint=f"{origin}/oauth2/auth",
            token_endpoint=f"{origin}/oauth2/token",
            revocation_endpoint=f"{origin}/oauth2/revoke",
            response_types_supported=["code"],
            response_modes_supported=["query"],
            grant_types_supported=list(GRANT_TYPES),
            scopes_supported=list(SCOPES),
            token_endpoint_auth_methods_supported=["client_secret_basic"],
            revocation_endpoint_auth_methods_supported=["client_secret_basic"],
            code_challenge_methods_supported=["S256"],
            authorization_response_iss_parameter_supported=True,
        )

    return routes
