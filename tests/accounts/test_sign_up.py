"""Sign-up, and the accounts of the first start."""

import pytest
from sqlalchemy import select

from portal import clock
from portal.accounts import staff, users
from portal.customers import owners, stripe_customers
from portal.errors import Conflict, InvalidInput, NotFound
from portal.extensions import db
from portal.keys import api_keys
from portal.models import ApiKey, AuditEntry, User
from portal.settings import load

from .conftest import ENVIRON, PASSWORD, Browser, mailed_path


def sign_up(browser, email="carol@example.com", password=PASSWORD, **more):
    return browser.post("/signup", email=email, password=password, name="Carol  Ann", **more)


def test_signing_up_signs_in_and_returns_to_the_purchase(house, browser):
    answer = sign_up(browser, email=" Carol@Example.com", next="/billing/resume?price=pro-monthly")
    assert (answer.status_code, answer.location) == (303, "/billing/resume?price=pro-monthly")
    assert browser.me == "carol@example.com"
    with house.app_context():
        carol = users.find("carol@example.com")
        assert (carol.name, carol.verified_at) == ("Carol Ann", None)


def test_the_mailed_link_verifies_by_its_button_alone(house, browser):
    sign_up(browser)
    path = mailed_path(house)
    for _ in range(3):
        assert "carol@example.com" in browser.get(path).text
    assert browser.post(path).location == "/account"
    with house.app_context():
        assert users.find("carol@example.com").verified_at
    assert browser.post(path).status_code == 410
    assert browser.get(path).status_code == 410


def test_an_account_that_exists_is_named_at_the_field(alice, browser):
    answer = sign_up(browser, email="ALICE@example.com")
    assert answer.status_code == 409
    assert "Sign in instead" in answer.text
    assert browser.me == "nobody"


def test_signing_up_with_an_address_that_purchases_wait_for_learns_nothing(house, browser):
    with house.app_context():
        owners.of("carol@example.com")
        db.session.commit()
    assert sign_up(browser).location == "/account"
    assert browser.me == "carol@example.com"
    assert "purchases made with it are added then" in browser.get("/account").text
    assert browser.get("/account/purchases").location == "/account"


def test_somebody_without_an_account_claims_what_waits_by_a_forgotten_password(house, browser):
    with house.app_context():
        owners.of("carol@example.com")
        db.session.commit()
    assert browser.post("/password/forgot", email="carol@example.com").location == "/mail-sent/reset"
    path = mailed_path(house)
    assert browser.get(path).status_code == 200
    assert browser.me == "nobody"
    assert browser.post(path, password="password").status_code == 400
    assert browser.post(path, password=PASSWORD).location == "/account"
    assert browser.me == "carol@example.com"
    assert Browser(house).sign_in("carol@example.com").status_code == 303
    assert browser.post(path, password=PASSWORD).status_code == 410
    with house.app_context():
        assert users.find("carol@example.com").is_proven


@pytest.mark.parametrize(
    "email", ["", "carol", "carol@", "@example.com", "a b@example.com", "a@b", "c@" + "x" * 260 + ".com"]
)
def test_what_is_no_mail_address_is_refused(house, browser, email):
    assert sign_up(browser, email=email).status_code == 400
    with house.app_context():
        assert db.session.query(User).count() == 0


def test_the_first_start_makes_an_admin_and_a_demo_user_once(house, settings):
    with house.app_context():
        made = users.ensure_people(settings)
        db.session.commit()
        assert set(made) == {"admin@example.com", "demo@example.com"}
        assert users.find("admin@example.com").is_admin
        assert not users.find("demo@example.com").is_admin
        assert users.authenticate("demo@example.com", made["demo@example.com"])
        assert users.ensure_people(settings) == {}


def test_chosen_names_and_passwords_are_honoured(house, settings):
    chosen = load(
        {
            **ENVIRON,
            "INSTANCE_PATH": str(settings.instance_path),
            "ADMIN_EMAIL": "Boss@example.com",
            "ADMIN_PASSWORD": "the boss's own",
            "DEMO_USER_PASSWORD": "the demo's own",
        },
        env_file=None,
    )
    with house.app_context():
        made = users.ensure_people(chosen)
        assert made == {"boss@example.com": "the boss's own", "demo@example.com": "the demo's own"}


def test_production_makes_no_account_that_has_no_chosen_password(house, settings):
    def in_production(password):
        return settings.model_copy(update={"environment": "production", "admin_password": password})

    with house.app_context():
        assert users.ensure_people(in_production(None)) == {}
        with pytest.raises(InvalidInput):
            users.ensure_people(in_production("password"))
        assert set(users.ensure_people(in_production("chosen with care"))) == {"admin@example.com"}


def test_the_command_line_makes_admins_and_sets_passwords(house, alice, browser):
    browser.sign_in()
    with house.app_context():
        staff.make("alice@example.com", "another good one")
        staff.make("root@example.com", "another good one")
        db.session.commit()
        assert users.find("alice@example.com").is_admin
        assert users.find("root@example.com").is_admin
        with pytest.raises(NotFound):
            users.set_password("nobody@example.com", "another good one")
        with pytest.raises(InvalidInput):
            staff.make("eve@example.com", "password")
        for nobody in ("", "eve", "eve@localhost", "e\x00ve@example.com"):
            with pytest.raises(InvalidInput):
                staff.make(nobody, "another good one")
        given = db.session.execute(select(AuditEntry).filter_by(action="role.given").order_by(AuditEntry.id))
        roles = [(one.before, one.after) for one in given.scalars()]
        assert roles == [({"role": "customer"}, {"role": "admin"}), ({}, {"role": "admin"})]
    assert browser.me == "nobody"


def test_a_staff_role_is_given_to_a_proven_address_alone(house, browser):
    sign_up(browser)
    with house.app_context():
        carol = users.find("carol@example.com")
        with pytest.raises(Conflict):
            staff.give_role(carol, "support")
        assert carol.role == "customer"
        carol.verified_at = clock.now()
        staff.give_role(carol, "support")
        db.session.commit()
        assert users.find("carol@example.com").role == "support"


def test_an_admin_made_of_an_unproven_account_shares_nothing_with_its_maker(house, browser):
    sign_up(browser)
    with house.app_context():
        carol = users.find("carol@example.com")
        key, _secret = api_keys.mint(stripe_customers.of(carol), "Left behind")
        carol.totp_seed, carol.second_factor_at = "secret of the maker", clock.now()
        db.session.commit()
        staff.make("carol@example.com", "another good one")
        db.session.commit()
        carol = users.find("carol@example.com")
        assert (carol.is_admin, carol.is_proven, carol.has_second_factor) == (True, True, False)
        assert db.session.get(ApiKey, key.id).revoked_at is not None
        assert db.session.execute(select(AuditEntry).filter_by(action="account.begun_anew")).scalar_one()
    assert browser.me == "nobody"
