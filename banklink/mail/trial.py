"""The mail that shows that mails arrive."""

from __future__ import annotations

from banklink.mail.invitations import greeting
from banklink.mail.letters import Facts, Letter, Paragraph
from banklink.mail.voice import Voice


def trial_letter(voice: Voice, *, name: str, app: str, sender: str) -> Letter:
    return Letter(
        locale=voice.locale,
        subject=voice.gettext("Test mail from %(app)s", app=app),
        greeting=greeting(voice, name),
        parts=(
            Paragraph(
                voice.gettext(
                    "You read this, so the mails of %(app)s arrive. Look whether it came into your"
                    " inbox or among the unwanted mail.",
                    app=app,
                )
            ),
            Facts(((voice.gettext("Sent from"), sender),)),
        ),
        closing=app,
    )
