"""The providers of an installation whose settings are entered on a page.

The composition root hands a plain dict to `Services` where environment settings or the demo fix
the provider; else this shelf, which takes the stored settings, and takes them anew when another
process or page has changed them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from sqlalchemy import select

from banklink.actions.provider_settings import FIELDS, adapter
from banklink.providers.contract import BankProvider, ConfigurationError
from banklink.providers.ponto import Ponto
from banklink.store.database import Store
from banklink.store.models import ProviderSettings
from banklink.store.vault import SealBroken, Vault


class Unusable:
    """Stands where an adapter would: every question to it raises ConfigurationError(`why`)."""

    issuer = None
    authorize_url = ""

    def __init__(self, provider: str, why: str):
        self.id = provider
        self.why = why

    def close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def refuse(*_args: object, **_kwargs: object) -> Any:
            raise ConfigurationError(self.why)

        return refuse


def _unusable(provider: str, why: str) -> BankProvider:
    return cast(BankProvider, Unusable(provider, why))


class Shelf(Mapping[str, BankProvider]):
    """One small SELECT at every use; the adapter, with its open connections, is kept as long as
    the version is the same."""

    def __init__(self, store: Store, vault: Vault):
        self._store = store
        self._vault = vault
        self._made: tuple[int, BankProvider] | None = None

    def __getitem__(self, provider: str) -> BankProvider:
        if provider != Ponto.id:
            raise KeyError(provider)
        with self._store.read() as session:
            found = session.execute(
                select(ProviderSettings.version, ProviderSettings.sealed).where(
                    ProviderSettings.provider == provider
                )
            ).one_or_none()
        if found is None:
            return _unusable(provider, "not_configured")
        version, sealed = found
        made = self._made
        if made is None or made[0] != version:
            self._made = made = (version, self._make(provider, sealed))
        return made[1]

    def _make(self, provider: str, sealed: str) -> BankProvider:
        try:
            opened = self._vault.open(sealed)
            return adapter({name: opened.get(name) or "" for name in FIELDS})
        except SealBroken:
            return _unusable(provider, "sealed_with_other_keys")
        except ConfigurationError as error:
            return _unusable(provider, error.code)

    def __iter__(self) -> Iterator[str]:
        return iter((Ponto.id,))

    def __len__(self) -> int:
        return 1


def configured(providers: Mapping[str, BankProvider], name: str = Ponto.id) -> bool:
    """Whether there is anything to ask: a provider that was never set up is no outage."""
    return getattr(providers[name], "why", None) != "not_configured"
