"""A wrong setting stops the start with one sentence that names it and says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from banklink.settings import TABLE, SettingsError, load
from tests.support import certificates

README = Path(__file__).parents[1] / "README.md"

PONTO = {
    "BANKLINK_PONTO_AUTHORIZE_URL": "https://authorization.example/oauth2/auth",
    "BANKLINK_PONTO_TOKEN_URL": "https://api.example/oauth2/token",
    "BANKLINK_PONTO_API_URL": "https://api.example/ponto-connect/",
    "BANKLINK_PONTO_CLIENT_ID": "client",
    "BANKLINK_PONTO_CLIENT_SECRET": "hush-hush",
}


SMTP = {
    "BANKLINK_SMTP_HOST": "smtp.example.nl",
    "BANKLINK_MAIL_FROM": "Kantoor Sanne <post@kantoor.example>",
}


def test_without_any_setting_the_demo_runs_on_this_machine() -> None:
    found = load({})
    assert found.port == 5000
    assert found.simulator_port == 5001
    assert found.origin == "http://localhost:5000"
    assert found.simulator_origin == "http://127.0.0.1:5001"
    assert found.redirect_uri == "http://localhost:5000/returned/ponto"
    assert found.here_only
    assert found.demo is True
    assert found.data == Path("data").resolve()
    assert found.database_url == f"sqlite:///{Path('data').resolve()}/banklink.sqlite3"
    assert (found.app_name, found.provider_name) == ("Banklink", "Ondernemersapp")
    assert found.locale == "nl"
    assert found.log_level == "INFO"
    assert found.assets_local is False
    assert found.secret_key is None
    assert found.encryption_keys == ()
    assert found.ponto is None
    assert found.smtp is None


def test_the_default_that_is_shown_is_the_default_that_is_used() -> None:
    worded = {"PORT + 1": "5001", "http://localhost:PORT": "http://localhost:5000"}
    shown = {row.name: worded.get(row.default, row.default) for row in TABLE}
    literal = {name: text for name, text in shown.items() if " " not in text and text != "none"}
    assert len(literal) == 12
    for name, default in literal.items():
        assert load({name: default}) == load({}), name


def test_an_empty_setting_counts_as_not_set_and_spaces_do_not_count() -> None:
    assert load({row.name: " " for row in TABLE}) == load({})
    assert load({"PORT": " 8080 "}).port == 8080


def test_each_setting_is_heard() -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    found = load(
        {
            "PORT": "8080",
            "BANKLINK_DATA": "/srv/banklink",
            "BANKLINK_DATABASE_URL": "postgres://user:p%40ss@host/books",
            "BANKLINK_DEMO": "0",
            "BANKLINK_ORIGIN": "https://bank.example.nl/",
            "BANKLINK_SIMULATOR_PORT": "9000",
            "BANKLINK_APP_NAME": "Kantoor",
            "BANKLINK_PROVIDER_NAME": "App",
            "BANKLINK_LOCALE": "en",
            "BANKLINK_SECRET_KEY": "x" * 32,
            "BANKLINK_ENCRYPTION_KEYS": f"{keys[0]}, {keys[1]}",
            "BANKLINK_ASSETS": "local",
            "BANKLINK_LOG_LEVEL": "debug",
            "BANKLINK_PONTO_ISSUER": "https://issuer.example",
            **PONTO,
        }
    )
    assert (found.port, found.simulator_port) == (8080, 9000)
    assert not found.here_only
    assert found.data == Path("/srv/banklink").resolve()
    assert found.database_url == "postgresql+psycopg://user:p%40ss@host/books"
    assert found.demo is False
    assert found.redirect_uri == "https://bank.example.nl/returned/ponto"
    assert (found.app_name, found.provider_name, found.locale) == ("Kantoor", "App", "en")
    assert found.secret_key == "x" * 32
    assert found.encryption_keys == tuple(keys)
    assert (found.assets_local, found.log_level) == (True, "DEBUG")
    assert found.ponto is not None
    assert found.ponto.authorize_url == "https://authorization.example/oauth2/auth"
    assert found.ponto.token_url == "https://api.example/oauth2/token"
    assert found.ponto.api_url == "https://api.example/ponto-connect"
    assert found.ponto.client_id == "client"
    assert found.ponto.client_secret == "hush-hush"
    assert found.ponto.issuer == "https://issuer.example"


def test_the_simulator_moves_along_with_the_port() -> None:
    found = load({"PORT": "8080"})
    assert (found.simulator_port, found.origin) == (8081, "http://localhost:8080")


# What a Banklink that others reach must have, and each test below takes one thing away from.
BEYOND = {
    "BANKLINK_DEMO": "0",
    "BANKLINK_ORIGIN": "https://bank.example.nl",
    "BANKLINK_SECRET_KEY": "x" * 32,
    "BANKLINK_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
}


def without(name: str) -> dict[str, str]:
    return {each: text for each, text in BEYOND.items() if each != name}


NO_ADDRESS = "must be an https address"
ORIGIN = "must look like https://"

WRONG: list[tuple[str, dict[str, str], str]] = [
    ("PORT", {"PORT": "http"}, "from 1 to 65535"),
    ("PORT", {"PORT": "0"}, "from 1 to 65535"),
    ("PORT", {"PORT": "65536"}, "from 1 to 65535"),
    ("PORT", {"PORT": "-1"}, "from 1 to 65535"),
    ("PORT", {"PORT": "\u00b2"}, "from 1 to 65535"),
    ("BANKLINK_SIMULATOR_PORT", {"BANKLINK_SIMULATOR_PORT": "5000"}, "Choose another port"),
    ("BANKLINK_SIMULATOR_PORT", {"BANKLINK_SIMULATOR_PORT": "x"}, "from 1 to 65535"),
    ("BANKLINK_SIMULATOR_PORT", {"PORT": "65535"}, "from 1 to 65535"),
    ("BANKLINK_DEMO", {"BANKLINK_DEMO": "yes"}, "0 or 1"),
    ("BANKLINK_LOCALE", {"BANKLINK_LOCALE": "de"}, "nl or en"),
    ("BANKLINK_ASSETS", {"BANKLINK_ASSETS": "both"}, "cdn or local"),
    ("BANKLINK_LOG_LEVEL", {"BANKLINK_LOG_LEVEL": "LOUD"}, "DEBUG or INFO or WARNING or ERROR"),
    ("BANKLINK_ORIGIN", {"BANKLINK_ORIGIN": "bank.example.nl"}, ORIGIN),
    ("BANKLINK_ORIGIN", {"BANKLINK_ORIGIN": "ftp://bank.example.nl"}, ORIGIN),
    ("BANKLINK_ORIGIN", {"BANKLINK_ORIGIN": "https://"}, ORIGIN),
    ("BANKLINK_ORIGIN", {"BANKLINK_ORIGIN": "https://bank.example.nl/app"}, ORIGIN),
    ("BANKLINK_ORIGIN", {"BANKLINK_ORIGIN": "http://[::1"}, ORIGIN),
    ("BANKLINK_ORIGIN", {"BANKLINK_ORIGIN": "http://localhost:port"}, ORIGIN),
    ("BANKLINK_DATA", {"BANKLINK_DATA": "~nobody-of-that-name/data"}, ""),
    ("BANKLINK_DATABASE_URL", {"BANKLINK_DATABASE_URL": "mysql://u:p@h/d"}, "postgresql://"),
    ("BANKLINK_SECRET_KEY", {"BANKLINK_SECRET_KEY": "x" * 31}, "at least 32"),
    ("BANKLINK_ENCRYPTION_KEYS", {"BANKLINK_ENCRYPTION_KEYS": "x" * 44}, "generate_key"),
    ("BANKLINK_ENCRYPTION_KEYS", {"BANKLINK_ENCRYPTION_KEYS": "\u00e9" * 44}, "generate_key"),
    (
        "BANKLINK_ORIGIN",
        {**BEYOND, "BANKLINK_ORIGIN": "http://bank.example.nl"},
        "Put an HTTPS proxy in front",
    ),
    (
        "BANKLINK_ORIGIN",
        {**BEYOND, "BANKLINK_ORIGIN": "http://localhost.bank.example.nl"},
        "Put an HTTPS proxy in front",
    ),
    ("BANKLINK_SECRET_KEY", without("BANKLINK_SECRET_KEY"), "banklink keys"),
    ("BANKLINK_ENCRYPTION_KEYS", without("BANKLINK_ENCRYPTION_KEYS"), "banklink keys"),
    ("BANKLINK_HOST", {"BANKLINK_HOST": "0.0.0.0"}, "https address people use"),
    ("BANKLINK_HOST", {**BEYOND, "BANKLINK_HOST": "server"}, "network address"),
    (
        "BANKLINK_HOST",
        {**BEYOND, "BANKLINK_DEMO": "1", "BANKLINK_HOST": "0.0.0.0"},
        "Set BANKLINK_DEMO to 0",
    ),
    ("BANKLINK_TRUSTED_PROXY", {**BEYOND, "BANKLINK_TRUSTED_PROXY": "*"}, "network address"),
    (
        "BANKLINK_TRUSTED_PROXY",
        {**BEYOND, "BANKLINK_TRUSTED_PROXY": "localhost"},
        "network address",
    ),
    ("BANKLINK_PONTO_CLIENT_SECRET", {**PONTO, "BANKLINK_PONTO_CLIENT_SECRET": ""}, "Set all of"),
    ("BANKLINK_PONTO_AUTHORIZE_URL", {"BANKLINK_PONTO_ISSUER": "x"}, "or none of them"),
    (
        "BANKLINK_PONTO_TOKEN_URL",
        {**PONTO, "BANKLINK_PONTO_TOKEN_URL": "http://api.example/token"},
        NO_ADDRESS,
    ),
    ("BANKLINK_PONTO_API_URL", {**PONTO, "BANKLINK_PONTO_API_URL": "api.example"}, NO_ADDRESS),
    ("BANKLINK_PONTO_API_URL", {**PONTO, "BANKLINK_PONTO_API_URL": "https://[a"}, NO_ADDRESS),
    (
        "BANKLINK_PONTO_CERTIFICATE",
        {**PONTO, "BANKLINK_PONTO_CERTIFICATE": "no-such.pem"},
        "does not exist",
    ),
    (
        "BANKLINK_PONTO_CERTIFICATE_KEY",
        {**PONTO, "BANKLINK_PONTO_CERTIFICATE": __file__},
        "Set both",
    ),
    ("BANKLINK_SMTP_PORT", {"BANKLINK_SMTP_PORT": "25"}, "BANKLINK_SMTP_HOST"),
    ("BANKLINK_SMTP_USER", {"BANKLINK_SMTP_USER": "sanne"}, "Set that too"),
    ("BANKLINK_MAIL_FROM", {"BANKLINK_MAIL_FROM": "a@b.example"}, "leave all of them empty"),
    ("BANKLINK_MAIL_FROM", {"BANKLINK_SMTP_HOST": "smtp.example.nl"}, "post@example.nl"),
    ("BANKLINK_SMTP_PORT", {**SMTP, "BANKLINK_SMTP_PORT": "smtp"}, "from 1 to 65535"),
    (
        "BANKLINK_SMTP_SECURITY",
        {**SMTP, "BANKLINK_SMTP_SECURITY": "ssl"},
        "starttls or tls or none",
    ),
    ("BANKLINK_SMTP_SECURITY", {**SMTP, "BANKLINK_SMTP_SECURITY": "none"}, "Use starttls or tls"),
    ("BANKLINK_SMTP_HOST", {**SMTP, "BANKLINK_SMTP_HOST": "smtp.example.nl:587"}, "SMTP_PORT"),
    ("BANKLINK_SMTP_HOST", {**SMTP, "BANKLINK_SMTP_HOST": "smtp://example.nl"}, "alone"),
    ("BANKLINK_SMTP_PASSWORD", {**SMTP, "BANKLINK_SMTP_USER": "sanne"}, "both, or none"),
    ("BANKLINK_SMTP_USER", {**SMTP, "BANKLINK_SMTP_PASSWORD": "hush"}, "both, or none"),
    (
        "BANKLINK_SMTP_PASSWORD",
        {**SMTP, "BANKLINK_SMTP_USER": "sanne", "BANKLINK_SMTP_PASSWORD": "café"},
        "Choose another",
    ),
    *(
        ("BANKLINK_MAIL_FROM", {**SMTP, "BANKLINK_MAIL_FROM": wrong}, "behind the @")
        for wrong in (f"post@{'a' * 64}.example", f"{'a' * 65}@kantoor.example")
    ),
    *(
        ("BANKLINK_MAIL_FROM", {**SMTP, "BANKLINK_MAIL_FROM": wrong}, "Kantoor Sanne <post@")
        for wrong in (
            "Kantoor Sanne",
            "post@",
            "Sanne <post@kantoor.example",
            "Sanne <post@kantoor.example> en Bo",
            "Sanne post@kantoor.example",
            "a@b.example, c@d.example",
            "jürgen@kantoor.example",
            "Sanne\r\nBcc: x@y.example <post@kantoor.example>\r\n.",
        )
    ),
    (
        "BANKLINK_MAIL_FROM",
        {**SMTP, "BANKLINK_MAIL_FROM": "Sanne\r\nBcc: x <post@kantoor.example>"},
        "cannot be printed",
    ),
]


@pytest.mark.parametrize(
    ("name", "environ", "way_out"),
    WRONG,
    ids=[f"{name}={env.get(name, 'absent')[:30]!a}" for name, env, _ in WRONG],
)
def test_a_wrong_setting_is_named_with_a_way_out(
    name: str, environ: dict[str, str], way_out: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    message = str(caught.value)
    assert name in message.split(".")[0]
    assert way_out in message
    assert "\n" not in message


def test_others_are_served_with_an_https_address_and_both_keys() -> None:
    found = load({**BEYOND, "BANKLINK_HOST": "0.0.0.0", "BANKLINK_TRUSTED_PROXY": "10.0.0.5"})
    assert (found.host, found.trusted_proxy) == ("0.0.0.0", "10.0.0.5")
    for origin in ("http://localhost:5000", "http://127.0.0.1:5000", "http://[::1]:5000"):
        assert load({"BANKLINK_DEMO": "0", "BANKLINK_ORIGIN": origin}).secret_key is None


def test_a_mail_server_needs_no_more_than_its_name_and_who_writes() -> None:
    found = load(SMTP).smtp
    assert found is not None
    assert (found.host, found.port, found.security) == ("smtp.example.nl", 587, "starttls")
    assert (found.sender_name, found.sender) == ("Kantoor Sanne", "post@kantoor.example")
    assert (found.user, found.password) == (None, None)
    for security, host, port in (("tls", "smtp.example.nl", 465), ("none", "127.0.0.1", 25)):
        found = load({**SMTP, "BANKLINK_SMTP_SECURITY": security, "BANKLINK_SMTP_HOST": host}).smtp
        assert found is not None and (found.security, found.port) == (security, port)


def test_each_setting_of_the_mail_server_is_heard() -> None:
    found = load(
        {
            **SMTP,
            "BANKLINK_SMTP_PORT": "2525",
            "BANKLINK_SMTP_SECURITY": "tls",
            "BANKLINK_SMTP_USER": "sanne",
            "BANKLINK_SMTP_PASSWORD": "hush-hush",
        }
    ).smtp
    assert found is not None
    assert (found.port, found.security) == (2525, "tls")
    assert (found.user, found.password) == ("sanne", "hush-hush")
    assert "hush-hush" not in repr(found)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("post@kantoor.example", "", "post@kantoor.example"),
        ("<post@kantoor.example>", "", "post@kantoor.example"),
        ('"Jansen, Bo" <bo+post@kantoor.example>', "Jansen, Bo", "bo+post@kantoor.example"),
        ("Café Noord <post@café.example>", "Café Noord", "post@café.example"),
        ("root@localhost", "", "root@localhost"),
    ],
)
def test_mails_come_from_an_address_with_or_without_a_name(
    text: str, name: str, address: str
) -> None:
    found = load({**SMTP, "BANKLINK_MAIL_FROM": text}).smtp
    assert found is not None and (found.sender_name, found.sender) == (name, address)


def test_a_misspelt_setting_is_not_passed_over_in_silence() -> None:
    with pytest.raises(SettingsError, match=r"^BANKLINK_LOCAL is not a setting .* README\.md\.$"):
        load({"BANKLINK_LOCAL": "en"})
    with pytest.raises(SettingsError, match=r"^BANKLINK_PONTO_CLIENT is not"):
        load({**PONTO, "BANKLINK_PONTO_CLIENT": ""})
    assert load({"LOCALE": "en", "MYBANKLINK_X": "1"}) == load({})


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("BANKLINK_SECRET_KEY", "a-short-secret"),
        ("BANKLINK_ENCRYPTION_KEYS", "not-a-fernet-key"),
        ("BANKLINK_DATABASE_URL", "mysql://books:hunter2@host/db"),
        ("BANKLINK_SMTP_PASSWORD", "a-mail-password"),
    ],
)
def test_a_wrong_secret_is_not_repeated_in_the_sentence(name: str, secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: secret})
    assert secret not in str(caught.value) and "hunter2" not in str(caught.value)


def test_an_http_address_is_good_enough_on_this_machine_only() -> None:
    for host in ("localhost:5001", "127.0.0.1:5001", "[::1]:5001"):
        found = load({**PONTO, "BANKLINK_PONTO_API_URL": f"http://{host}/api"})
        assert found.ponto is not None and found.ponto.api_url == f"http://{host}/api"
    with pytest.raises(SettingsError, match=NO_ADDRESS):
        load({**PONTO, "BANKLINK_PONTO_API_URL": "http://localhost.evil.example/api"})


def test_the_client_certificate_is_found(tmp_path: Path) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    given = {
        **PONTO,
        "BANKLINK_PONTO_CERTIFICATE": str(certificate),
        "BANKLINK_PONTO_CERTIFICATE_KEY": str(key),
    }
    certificate.touch()
    key.touch()
    with pytest.raises(SettingsError, match="no certificate with its own key"):
        load(given)
    for path, text in zip((certificate, key), certificates.certificate(), strict=True):
        path.write_text(text)
    found = load(given)
    assert found.ponto is not None
    assert (found.ponto.certificate, found.ponto.certificate_key) == (certificate, key)


def documented(markdown: str) -> dict[str, str]:
    """Name and default of each row, with a code span first, of the table Setting | Default | …"""
    rows: dict[str, str] = {}
    inside = False
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            inside = False
        elif cells[:2] == ["Setting", "Default"]:
            inside = True
        elif inside and (name := re.fullmatch(r"`(\w+)`", cells[0])):
            assert name[1] not in rows, f"{name[1]} stands in README.md twice"
            rows[name[1]] = cells[1].strip("`")
    return rows


def test_the_readme_names_every_setting_with_its_default_and_no_other() -> None:
    assert README.exists(), "README.md with a table Setting | Default | Meaning"
    assert documented(README.read_text(encoding="utf-8")) == {
        row.name: row.default for row in TABLE
    }
