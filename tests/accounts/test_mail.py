"""Sending mails: each once, whichever process sends it, by SMTP or into the outbox."""

import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from aiosmtpd.controller import Controller
from sqlalchemy import select, text

from portal import clock, mail
from portal.extensions import db
from portal.models import Customer, OutboxMail, User
from portal.settings import load

from .conftest import ENVIRON, build, mails

SMTP_PORT = 9261


def queue(house, alice, key="verify:1"):
    with house.app_context():
        mail.queue(db.session.get(User, alice), "verify", key, plan="Pro")
        db.session.commit()


def rows(house):
    with house.app_context():
        return db.session.execute(select(OutboxMail)).scalars().all()


def test_a_mail_is_queued_once_in_the_callers_transaction(house, alice):
    queue(house, alice)
    queue(house, alice)
    with house.app_context():
        mail.queue(db.session.get(User, alice), "verify", "rolled back")
        db.session.rollback()
    assert [(row.key, row.context, row.attempts) for row in rows(house)] == [("verify:1", {"plan": "Pro"}, 0)]


def test_the_outbox_file_is_a_mail_for_its_owner_alone(house, alice, settings):
    queue(house, alice)
    with house.app_context():
        assert mail.send_due() == 1
        assert mail.send_due() == 0
    [message] = mails(settings)
    assert message["To"] == "alice@example.com"
    assert message["From"] == "no-reply@portal.test"
    assert message["Subject"]
    assert "http://portal.test:9250/verify/" in message.get_body(("plain",)).get_content()
    assert "http://portal.test:9250/verify/" in message.get_body(("html",)).get_content()
    [file] = (Path(settings.instance_path) / "outbox").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_happens_in_test_mode_is_mailed_to_the_admin_and_marked(house, alice, settings):
    with house.app_context():
        for mode in ("live", "test"):
            customer = Customer(user_id=alice, mode=mode, created_at=clock.now())
            db.session.add(customer)
            db.session.flush()
            mail.tell(customer, "usage_started", f"usage-started:{mode}", page="http://portal.test/usage")
        db.session.commit()
        assert mail.send_due() == 2
    by_reader = {message["To"]: message["Subject"] for message in mails(settings)}
    live = by_reader["alice@example.com"]
    assert by_reader == {"alice@example.com": live, settings.admin_email: f"[Test] {live}"}


def test_the_token_of_a_mailed_link_stands_nowhere_in_the_database(house, alice, settings):
    queue(house, alice)
    with house.app_context():
        mail.send_due()
        [message] = mails(settings)
        body = message.get_body(("plain",)).get_content()
        token = body.split("/verify/")[1].split()[0]
        for table in ("outbox_mails", "mail_tokens"):
            assert token not in str(db.session.execute(text(f"SELECT * FROM {table}")).all())


def test_two_senders_at_once_send_each_mail_once(house, alice, settings):
    for number in range(6):
        queue(house, alice, f"verify:{number}")
    start, counts = threading.Barrier(2), []

    def send():
        with house.app_context():
            start.wait()
            counts.append(mail.send_due())

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 6
    assert [row.attempts for row in rows(house)] == [1] * 6


def test_a_mail_claimed_by_a_sender_that_died_is_sent_after_a_while(house, alice):
    queue(house, alice)
    with house.app_context(), time_machine.travel(clock.now(), tick=False) as traveller:
        [(mail_id, attempts)] = mail._due(10)
        assert mail._claim(mail_id, attempts)  # and then the process dies
        assert mail.send_due() == 0
        traveller.shift(mail.FIRST_WAIT + timedelta(seconds=1))
        assert mail.send_due() == 1


class Mailbox:
    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def smtp_app(tmp_path):
    settings = load(
        {
            "INSTANCE_PATH": str(tmp_path),
            **ENVIRON,
            "MAIL_URL": f"smtp://127.0.0.1:{SMTP_PORT}?from=billing@portal.test",
        },
        env_file=None,
    )
    house = build(settings)
    yield house
    with house.app_context():
        db.engine.dispose()


def test_mails_are_delivered_by_smtp_and_tried_again_while_the_server_is_away(smtp_app):
    with smtp_app.app_context(), time_machine.travel(clock.now(), tick=False) as traveller:
        alice = User(email="alice@example.com", created_at=clock.now())
        db.session.add(alice)
        db.session.flush()
        mail.queue(alice, "verify", "verify:1")
        db.session.commit()
        assert mail.send_due() == 0
        assert mail.send_due() == 0
        traveller.shift(mail.FIRST_WAIT)
        mailbox = Mailbox()
        server = Controller(mailbox, hostname="127.0.0.1", port=SMTP_PORT)
        server.start()
        try:
            assert mail.send_due() == 1
        finally:
            server.stop()
    [envelope] = mailbox.envelopes
    assert envelope.mail_from == "billing@portal.test"
    assert envelope.rcpt_tos == ["alice@example.com"]
    assert b"Message-ID: <" in envelope.content


def test_logs_name_nobody_in_full(house):
    assert mail.masked("alice@example.com") == "a…@example.com"


def test_urls_are_built_on_the_base_url_whatever_the_host_header_says(house):
    with house.test_request_context(headers={"Host": "evil.example"}):
        assert mail.external("sign_in.login", next="/keys") == "http://portal.test:9250/login?next=/keys"
