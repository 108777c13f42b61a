"""A browser or network that an owner has signed in from has its own limits, which strangers do not use up."""

from datetime import timedelta

from sqlalchemy import select, update

from portal import clock
from portal.accounts.sign_in import devices
from portal.extensions import db
from portal.models import KnownDevice, User, UserSession

from .limited import MAIL, Place, guess, retry
from .limited import house as house
from .limited import moment as moment

NEW = "another long password"


def test_strangers_stop_neither_a_known_browser_nor_a_known_network(house, alice, moment):
    laptop = Place(house, "192.0.2.1")
    laptop.sign_in()
    laptop.post("/logout")
    laptop.client.environ_base["REMOTE_ADDR"] = "203.0.113.77"  # a café
    retry(guess(house, 0, 7))
    retry(Place(house, "203.0.113.78").sign_in())  # the right password from an unknown place
    assert Place(house, "192.0.2.1").token().status_code == 200
    assert laptop.sign_in().status_code == 303
    assert laptop.me == MAIL


def test_a_network_is_known_for_thirty_days(house, alice, moment):
    Place(house, "192.0.2.1").sign_in()
    moment.shift(timedelta(days=29))
    retry(guess(house, 0, 7))
    assert Place(house, "192.0.2.1").token().status_code == 200
    moment.shift(timedelta(days=31))
    retry(guess(house, 0, 7))
    retry(Place(house, "192.0.2.1").sign_in())


def test_programs_are_known_by_their_network_and_ipv6_by_its_half(house, alice, moment):
    first = Place(house, "2001:db8:1:2::1").token()
    retry(guess(house, 0, 7))
    assert Place(house, "2001:db8:1:2:ffff::9").token().status_code == 200
    retry(Place(house, "2001:db8:1:3::1").token())
    renewed = Place(house, "2001:db8:9::1").client.post(
        "/api/auth/refresh", json={"refresh_token": first.json["refresh_token"]}
    )
    assert renewed.status_code == 200
    assert Place(house, "2001:db8:9::7").token().status_code == 200  # where it was refreshed from


def test_the_budget_of_a_known_place_is_its_own_and_has_an_end(house, alice, moment):
    known = Place(house, "192.0.2.1")
    known.sign_in()
    known.post("/logout")
    neighbor = Place(house, "192.0.2.1")  # behind the same address, another browser
    assert [neighbor.token("wrong").status_code for _ in range(7)] == [401] * 6 + [429]
    assert retry(neighbor.token()) == 60
    assert known.sign_in().status_code == 303
    known.post("/logout")
    assert [known.sign_in(password="wrong").status_code for _ in range(7)] == [401] * 6 + [429]
    assert Place(house, "198.51.100.1").sign_in().status_code == 303  # other addresses have their own limit


def test_the_owner_asks_for_a_link_from_a_known_place_whatever_strangers_do(house, alice, moment):
    known = Place(house, "192.0.2.1")
    known.sign_in()
    known.post("/logout")
    retry([Place(house, f"198.51.100.{n}").post("/password/forgot", email=MAIL) for n in range(7)][-1])
    assert known.post("/password/forgot", email=MAIL).status_code == 303


def test_the_device_cookie_changes_with_each_sign_in_and_opens_nothing(house, alice):
    browser = Place(house, "192.0.2.1")
    browser.sign_in()
    first = browser.cookie
    with house.app_context():
        row = db.session.execute(select(KnownDevice)).scalar_one()
        assert first not in (row.token_hash, "")
        db.session.commit()
    browser.post("/logout")
    assert browser.cookie == first
    browser.sign_in()
    assert browser.cookie != first
    stranger = Place(house, "198.51.100.1")
    stranger.client.set_cookie("device", browser.cookie)
    assert stranger.me == "nobody"


def test_a_cookie_that_somebody_planted_tells_them_nothing_and_uses_nothing_up(house, alice, moment):
    owner, attacker = Place(house, "192.0.2.1"), Place(house, "198.51.100.1")
    for one in (owner, attacker):
        one.client.set_cookie("device", "A" * 43)
    owner.sign_in()
    assert owner.cookie != "A" * 43
    with house.test_request_context("/login", headers={"Cookie": f"device={'A' * 43}"}):
        assert devices.current(alice) == ""
    for junk in ("", "x", "A" * 44, "é" * 43, "A" * 4000):
        attacker.client.set_cookie("device", junk)
        assert attacker.get("/login").status_code == 200


def test_one_browser_is_known_to_every_account_that_signed_in_with_it(house, alice):
    browser = Place(house, "192.0.2.1")
    browser.post("/signup", email="bob@example.com", password=NEW, name="")
    browser.post("/logout")
    browser.sign_in()
    with house.app_context():
        rows = db.session.execute(select(KnownDevice.user_id, KnownDevice.token_hash)).all()
        assert len({user_id for user_id, _ in rows}) == 2
        assert len({token_hash for _, token_hash in rows}) == 1
        devices.forget(db.session.get(User, alice))
        db.session.commit()
        assert len(db.session.execute(select(KnownDevice)).all()) == 1
        db.session.execute(update(KnownDevice).values(seen_at=clock.now() - timedelta(days=401)))
        db.session.commit()
        assert devices.sweep() == 1


def test_a_password_without_its_code_makes_no_place_known(house, alice, moment):
    with house.app_context():
        db.session.get(User, alice).second_factor_at = clock.now()
        db.session.commit()
    half = Place(house, "192.0.2.1")
    half.sign_in()
    assert half.cookie is None
    with house.app_context():
        assert db.session.execute(select(UserSession.confirmed_at)).scalar_one() is None
    retry(guess(house, 0, 7))
    retry(Place(house, "192.0.2.1").token())
