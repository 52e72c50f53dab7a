"""Somebody wants a new link: told to who asked them first."""

from __future__ import annotations

from collections.abc import Sequence

from banklink.mail.letters import Button, Letter, Paragraph
from banklink.mail.voice import Voice


def asked_again_letter(
    voice: Voice,
    *,
    to: str,
    name: str,
    administrations: Sequence[str],
    url: str,
    app: str,
) -> Letter:
    """`name` is the recipient of the invitation that expired, `url` the row where it is sent
    again."""
    _ = voice.gettext
    return Letter(
        locale=voice.locale,
        subject=_(
            "%(name)s asks for a new link for %(firms)s",
            name=name,
            firms=voice.listed(administrations),
        ),
        greeting=_("Dear %(name)s,", name=to),
        parts=(
            Paragraph(
                _(
                    "%(name)s opened the invitation for the bank link of %(firms)s, but it has"
                    " expired. One press in the row sends a new one.",
                    name=name,
                    firms=voice.listed(administrations),
                )
            ),
            Button(_("To the row"), url),
        ),
        closing=app,
    )
