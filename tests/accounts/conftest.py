"""The accounts room alone, without the rest of the house. Pages not drawn yet are stood in for by a line."""

import re
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from flask import Blueprint, Flask
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from jinja2 import ChoiceLoader, DictLoader

from portal import accounts, errors, extensions, logs, mail, pages
from portal.accounts import people
from portal.extensions import db
from portal.settings import Settings, flask_config, load

PASSWORD = "correct horse battery"
FORM = "{{ form.errors.values() | list }}"
LINK_MAIL = "Subject: A link for {{ user.email }}\n\n{{ url }}\n"
STAND_INS = {
    **{f"accounts/{name}.html": FORM for name in ("signup", "login", "forgot", "reset")},
    "accounts/verify.html": "{{ email }}",
    "accounts/message.html": "{{ title }} {{ text }}",
    "accounts/index.html": "{{ user.email }} {{ plan_name }} {{ key_count }} {{ sessions | length }}",
    "errors/error.html": "{{ status }} {{ title }}",
    **{f"mail/{name}.txt": LINK_MAIL for name in ("verify", "reset", "claim")},
    **{f"mail/{name}.html": "<p>{{ url }}</p>" for name in ("verify", "reset", "claim")},
}


def build(settings: Settings, *, limited: bool = False) -> Flask:
    app = Flask("portal", root_path=str(Path(accounts.__file__).parents[1]), template_folder="../templates")
    app.config.from_mapping(flask_config(settings))
    app.config.update(TESTING=True, SECRET_KEY="only-for-tests-0123456789abcdef", RATELIMIT_ENABLED=limited)
    app.extensions["settings"] = settings
    app.jinja_env.loader = ChoiceLoader([app.jinja_loader, DictLoader(STAND_INS)])
    logs.init_app(app)
    extensions.init_app(app, settings, before_csrf=accounts.init_before_csrf)
    pages.init_app(app, settings)
    errors.init_app(app)
    accounts.init_app(app)
    app.register_blueprint(_trials())
    # The layout leads to the other rooms, which are not here.
    app.url_build_error_handlers.append(lambda _error, endpoint, _values: f"/{endpoint}")
    with app.app_context():
        db.create_all()
    return app


def _trials() -> Blueprint:
    blueprint = Blueprint("trials", __name__)
    blueprint.add_url_rule("/_csrf", view_func=generate_csrf)
    blueprint.add_url_rule("/_me", view_func=lambda: getattr(current_user, "email", "nobody"), endpoint="me")
    return blueprint


@pytest.fixture
def settings(tmp_path):
    return load({"INSTANCE_PATH": str(tmp_path), "BASE_URL": "http://portal.test:9250"}, env_file=None)


@pytest.fixture
def house(settings):
    """The app; not by the name `app`, for which pytest-flask would hold one request open all along."""
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
        user = people.create("alice@example.com", "Alice", PASSWORD)
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
    """The mails in the outbox, the oldest first."""
    files = sorted(
        (Path(settings.instance_path) / "outbox").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns
    )
    return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]


def mailed_path(app):
    """Send what is due and give the path of the newest link."""
    with app.app_context():
        mail.send_due()
    text = mails(app.extensions["settings"])[-1].get_body(("plain",)).get_content()
    return re.search(r"http://portal\.test:9250(/\S+)", text)[1]
