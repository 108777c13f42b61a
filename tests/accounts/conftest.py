"""A portal on its own database, without Stripe: nothing is paid for in these tests."""

import re
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from flask import Flask
from flask_login import current_user
from flask_wtf.csrf import generate_csrf

from portal import create_app, mail
from portal.accounts import users
from portal.extensions import db
from portal.settings import Settings, load
from tests.support import tables

PASSWORD = "correct horse battery"
ENVIRON = {"BASE_URL": "http://portal.test:9250", "SECRET_KEY": "only-for-tests-0123456789abcdef0123456789"}


def build(settings: Settings, *, limited: bool = False) -> Flask:
    app = create_app(settings)
    app.config.update(TESTING=True, RATELIMIT_ENABLED=limited)
    app.add_url_rule("/_csrf", "csrf", generate_csrf)
    app.add_url_rule("/_me", "me", lambda: getattr(current_user, "email", "nobody"))
    with app.app_context():
        tables.create()
    return app


@pytest.fixture
def settings(tmp_path):
    return load(ENVIRON | {"INSTANCE_PATH": str(tmp_path)}, env_file=None)


@pytest.fixture
def house(settings):
    """The app; not named `app`, because pytest-flask would then keep one request open for the whole test."""
    app = build(settings)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def browser(house):
    return Browser(house)


@pytest.fixture
def alice(house):
    """Alice's id; she has an account and the cast's password."""
    with house.app_context():
        user = users.create("alice@example.com", "Alice", PASSWORD)
        db.session.commit()
        return user.id


class Browser:
    """A client that sends each form with its CSRF token."""

    def __init__(self, app):
        self.app = app
        self.client = app.test_client()

    def get(self, path, **options):
        return self.client.get(path, **options)

    def post(self, path, **data):
        return self.client.post(path, data={"csrf_token": self.client.get("/_csrf").text, **data})

    def sign_in(self, email="alice@example.com", password=PASSWORD, **more):
        return self.post("/login", email=email, password=password, **more)

    @property
    def me(self):
        return self.client.get("/_me").text


def mails(settings):
    """Return the mails in the outbox, oldest first."""
    files = sorted(
        (Path(settings.instance_path) / "outbox").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns
    )
    return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]


def mailed_path(app):
    """Send due mails and return the path of the newest link."""
    with app.app_context():
        mail.send_due()
    text = mails(app.extensions["settings"])[-1].get_body(("plain",)).get_content()
    return re.search(r"http://portal\.test:9250(/\S+)", text)[1]
