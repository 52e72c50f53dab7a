"""What every action needs: the store, the providers, the vault and the address to return to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from banklink.actions.pace import Pace
from banklink.mail.smtp import Post
from banklink.providers.contract import BankProvider
from banklink.store.database import Store
from banklink.store.vault import Vault


class Refused(Exception):
    """A person asked for something that cannot be. `code` names the sentence, `field` the input it
    is about, `offer` a value that would do."""

    def __init__(
        self, code: str, /, *, field: str | None = None, offer: str | None = None, **params: object
    ):
        super().__init__(code)
        self.code = code
        self.field = field
        self.offer = offer
        self.params = params


class Stale(Exception):
    """Somebody changed the row after the person last saw it."""

    def __init__(self, by: str | None):
        super().__init__(by)
        self.by = by


class Missing(Exception):
    """There is no such row for this person."""


@dataclass(frozen=True, slots=True)
class Office:
    """Who writes to account holders. `origin` is where links lead, `sender` the address mails come
    from, `phone` for who has questions; `app` and `provider` are names in sentences."""

    origin: str
    name: str = "Banklink"
    app: str = "Banklink"
    provider: str = "Ondernemersapp"
    locale: str = "nl"
    phone: str | None = None
    sender: str | None = None


@dataclass(frozen=True)
class Services:
    store: Store
    providers: Mapping[str, BankProvider]
    vault: Vault
    redirect_uri: str
    office: Office
    default_provider: str = "ponto"
    post: Post | None = None
    """What takes mails away; None: they stay in the outbox and are copied from there."""
    pace: Pace = field(default_factory=Pace)

    @property
    def provider(self) -> BankProvider:
        """The provider new grants go to."""
        return self.providers[self.default_provider]
