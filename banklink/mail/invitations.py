"""What an invitation says (domain.md B2.6, B3): who asks, for what, which accounts, how long it can
be answered, and that reading is all it allows. The page behind the button says it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from banklink.core.invitations import Purpose
from banklink.mail.letters import Button, Facts, Letter, Paragraph, Part, Quote
from banklink.mail.voice import Voice, tail


def invitation_letter(
    purpose: Purpose,
    voice: Voice,
    *,
    name: str,
    office: str,
    sender: str | None,
    administrations: Sequence[str],
    accounts: Sequence[tuple[str, str]],
    bank: str | None,
    url: str,
    until: date,
    provider: str,
    app: str,
    message: str = "",
    phone: str | None = None,
) -> Letter:
    """The mail that brings an invitation.

    `name` is the recipient's, `sender` that of the person who asks (None: the clock does, in the
    office's name). `accounts`: name and IBAN of each; none means that the recipient chooses.
    `administrations`: whose books, at least one. `bank`: the one to go to, where that is known.
    `until`: the last day on which the invitation can be answered. `message`: what the sender wrote.
    """
    firms = voice.listed(administrations)
    asking = (
        voice.gettext("%(sender)s of %(office)s", sender=sender, office=office)
        if sender and sender != office
        else office
    )
    parts: list[Part] = [Paragraph(_request(purpose, voice, asking, firms, accounts, bank))]
    if message.strip():
        parts.append(Quote(message.strip(), sender or office))
    parts += [
        Paragraph(_steps(voice, provider, bank)),
        Button(_press(purpose, voice, bank), url),
        Facts(tuple(_facts(voice, firms, accounts, until))),
        Paragraph(
            voice.gettext("We never ask for your PIN, your password or the codes of your bank.")
        ),
    ]
    return Letter(
        locale=voice.locale,
        subject=_subject(purpose, voice, administrations, bank),
        greeting=greeting(voice, name),
        parts=tuple(parts),
        closing="\n".join(
            (
                voice.gettext("Kind regards,"),
                *([sender] if sender and sender != office else []),
                office,
            )
        ),
        small=tuple(_small(voice, asking, app, phone)),
    )


def greeting(voice: Voice, name: str) -> str:
    if not name.strip():
        return voice.gettext("Hello,")
    return voice.gettext("Dear %(name)s,", name=name.strip())


def _subject(
    purpose: Purpose, voice: Voice, administrations: Sequence[str], bank: str | None
) -> str:
    firm = administrations[0]
    if len(administrations) > 1:
        firm = voice.ngettext(
            "%(firm)s and %(n)s other",
            "%(firm)s and %(n)s others",
            len(administrations) - 1,
            firm=firm,
        )
    if purpose is Purpose.CONNECT:
        return voice.gettext("Bank link of %(firm)s: may we read along?", firm=firm)
    if purpose is Purpose.REPAIR:
        return voice.gettext("Bank link of %(firm)s: your permission is needed again", firm=firm)
    if bank is None:
        return voice.gettext("Bank link of %(firm)s: renew your permission", firm=firm)
    return voice.gettext("Bank link of %(firm)s: renew at %(bank)s", firm=firm, bank=bank)


def _request(
    purpose: Purpose,
    voice: Voice,
    asking: str,
    firms: str,
    accounts: Sequence[tuple[str, str]],
    bank: str | None,
) -> str:
    """Who asks for what, in the first sentence."""
    n, who = len(accounts) or 2, {"asking": asking, "firms": firms}
    if purpose is Purpose.CONNECT:
        return voice.ngettext(
            "%(asking)s asks your permission to fetch the transactions of your business account"
            " for the books of %(firms)s.",
            "%(asking)s asks your permission to fetch the transactions of your business accounts"
            " for the books of %(firms)s.",
            n,
            **who,
        )
    if purpose is Purpose.REPAIR:
        return voice.ngettext(
            "The transactions of your account do not reach the books of %(firms)s."
            " %(asking)s asks you to give permission again; the link then works again by itself.",
            "The transactions of your accounts do not reach the books of %(firms)s."
            " %(asking)s asks you to give permission again; the link then works again by itself.",
            n,
            **who,
        )
    if bank is None:
        return voice.gettext(
            "%(asking)s asks you to renew your permission to fetch transactions for the books of"
            " %(firms)s. One renewal covers all your accounts at the same bank.",
            **who,
        )
    return voice.gettext(
        "%(asking)s asks you to renew your permission at %(bank)s, so that transactions keep"
        " reaching the books of %(firms)s. One renewal covers all your accounts at this bank.",
        bank=bank,
        **who,
    )


def _steps(voice: Voice, provider: str, bank: str | None) -> str:
    if bank is None:
        return voice.gettext(
            "It takes about 2 minutes. You first see once more what is asked, and can also refuse."
            " After that you confirm it yourself, in %(provider)s or at your own bank.",
            provider=provider,
        )
    return voice.gettext(
        "It takes about 2 minutes. You first see once more what is asked, and can also refuse."
        " After that you confirm it yourself at %(bank)s; keep the card of this account at hand.",
        bank=bank,
    )


def _press(purpose: Purpose, voice: Voice, bank: str | None) -> str:
    if purpose is not Purpose.RENEW:
        return voice.gettext("See the request and answer")
    if bank is None:
        return voice.gettext("Renew")
    return voice.gettext("Renew at %(bank)s", bank=bank)


def _facts(
    voice: Voice, firms: str, accounts: Sequence[tuple[str, str]], until: date
) -> list[tuple[str, str]]:
    if accounts:
        named = voice.listed([f"{name} ({tail(iban)})" for name, iban in accounts])
    else:
        named = voice.gettext("you choose which ones yourself")
    return [
        (voice.gettext("For the books of"), firms),
        (voice.gettext("Account" if len(accounts) == 1 else "Accounts"), named),
        (
            voice.gettext("What is shared"),
            voice.gettext("transactions and balance; reading only, paying is not possible"),
        ),
        (
            voice.gettext("For how long"),
            voice.gettext(
                "until the permission at your bank ends, usually after 180 days; you can withdraw"
                " it at any time"
            ),
        ),
        (voice.gettext("Answer by"), voice.day(until)),
    ]


def _small(voice: Voice, asking: str, app: str, phone: str | None) -> list[str]:
    return [
        voice.gettext("Questions? Reply to this mail or call %(phone)s.", phone=phone)
        if phone
        else voice.gettext("Questions? Reply to this mail."),
        voice.gettext(
            "Are you not the account holder? Forward this mail to who is. The link alone lets"
            " nobody in: the account holder has to confirm."
        ),
        voice.gettext(
            "Do you not know %(asking)s, or did you not expect this? Do nothing: nothing is shared"
            " then.",
            asking=asking,
        ),
        voice.gettext("%(app)s reads transactions and balances. It can never pay.", app=app),
    ]
