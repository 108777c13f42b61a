"""The portal's mails, as their readers see them."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage

from portal import mail
from portal.extensions import db
from tests.support.world import World


def letters(here: World, to: str) -> list[EmailMessage]:
    """Send due mails, and return those to this address, oldest first."""
    with here.app.app_context():
        mail.send_due()
        db.session.remove()
    folder = here.app.extensions["settings"].instance_path / "outbox"
    files = sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
    found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    return [one for one in found if one["To"] == to]


def text(letter: EmailMessage) -> str:
    """The plain text of a mail."""
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def links(here: World, to: str, path: str) -> list[str]:
    """Return the URLs under this path that were mailed to somebody, oldest first."""
    found = (re.findall(rf"{re.escape(here.base + path)}\S+", text(one)) for one in letters(here, to))
    return [link for some in found for link in some]
