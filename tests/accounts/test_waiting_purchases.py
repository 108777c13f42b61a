"""Purchases for an address that wait until its owner verifies it join the account if they are its owner's."""

from sqlalchemy import select

from portal import clock
from portal.customers import owners, stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import ApiKey, Customer, GivenPlan, OutboxMail, User

from .conftest import Browser
from .proving import NEW, VICTIM, a_key, account, answer, fields, forgotten, mailed_link
from .proving import attacker as attacker


def waits(house, credits=0):
    """Something bought for the address before it was verified: the unclaimed user's id and a key's secret."""
    with house.app_context():
        user = owners.of(VICTIM)
        customer = stripe_customers.of(user)
        _, secret = api_keys.mint(customer, "bought")
        if credits:
            from portal.credits import ledger

            ledger.post(customer.id, credits, "purchase", f"cs_{user.id}", description="Credits")
        db.session.commit()
        return user.id, secret


def test_an_unproven_account_has_no_part_in_what_waits(house, attacker):
    _, secret = waits(house)
    mine = a_key(house)
    assert answer(house, secret) == 200
    receipt = house.test_client().get("/v1/receipt", headers={"Authorization": f"Bearer {mine}"})
    with house.app_context():
        ours = db.session.execute(select(Customer.id).join(User).where(User.id == account(house).id)).scalar_one()
    assert receipt.json["customer"] == str(ours)
    assert attacker.get("/account/purchases").location == "/account"
    assert "purchases made with it are added then" in attacker.get("/account").text


def test_a_purchase_joins_the_account_that_began_anew_and_not_the_attacker_s(house, attacker):
    theirs = a_key(house)
    waiting, bought = waits(house, credits=500)
    victim = Browser(house)
    path = forgotten(house, victim)
    asked = fields(victim.get(path))
    assert len(asked) == 3
    with house.app_context():
        ids = {key.name: key.id for key in db.session.execute(select(ApiKey)).scalars()}
    answers = {f"purchase_{waiting}": "mine", f"key_{ids['theirs']}": "end"}
    assert victim.post(path, password=NEW, **answers).status_code == 400  # its key is not answered
    answers[f"key_{ids['bought']}"] = "keep"
    assert victim.post(path, password=NEW, **answers).location == "/account"
    assert (answer(house, theirs), answer(house, bought)) == (401, 200)
    with house.app_context():
        customer = stripe_customers.find(account(house))
        assert customer.credit_balance == 500
        assert db.session.get(User, waiting).taken_over_by == account(house).id
    receipt = house.test_client().get("/v1/receipt", headers={"Authorization": f"Bearer {bought}"}).json
    assert (receipt["customer"], receipt["credits"]) == (str(customer.id), 500)


def test_an_empty_customer_gives_way(house, attacker):
    with house.app_context():
        stripe_customers.of(account(house))
        db.session.commit()
    waiting, bought = waits(house)
    with house.app_context():
        theirs = stripe_customers.find(db.session.get(User, waiting)).id
    with house.app_context():
        key_id = db.session.execute(select(ApiKey.id)).scalar_one()
    path = mailed_link(house)
    answers = {f"purchase_{waiting}": "mine", f"key_{key_id}": "keep"}
    assert attacker.post(path, **answers).location == "/account"
    with house.app_context():
        assert stripe_customers.find(account(house)).id == theirs
        assert stripe_customers.find(db.session.get(User, waiting)) is None
    assert answer(house, bought) == 200


def test_what_is_not_mine_stays_with_its_buyer_and_an_admin_is_told(house, attacker):
    waiting, bought = waits(house)
    assert attacker.post(mailed_link(house), **{f"purchase_{waiting}": "not_mine"}).location == "/account"
    assert answer(house, bought) == 200
    with house.app_context():
        assert db.session.get(User, waiting).disowned_at
        told = db.session.execute(select(OutboxMail).filter_by(template="purchase_disowned")).scalar_one()
        assert told.to == house.extensions["settings"].admin_email
    assert attacker.get("/account/purchases").location == "/account"  # it is not asked again


def test_a_purchase_that_was_not_answered_waits_on_the_account_page(house, attacker):
    attacker.post(mailed_link(house))
    with house.app_context():  # one from before the proof, found later
        late = User(email=VICTIM, created_at=clock.now())
        db.session.add(late)
        db.session.commit()
        late_id = late.id
    assert "/account/purchases" in attacker.get("/account").text
    assert attacker.post("/account/purchases").status_code == 400
    done = attacker.post("/account/purchases", **{f"purchase_{late_id}": "mine"})
    assert done.location == "/account"
    assert "/account/purchases" not in attacker.get("/account").text


def test_with_a_given_plan_nothing_moves_and_an_admin_is_told(house, attacker):
    a_key(house)  # the account is not empty
    waiting, _ = waits(house)
    with house.app_context():
        customer = stripe_customers.find(db.session.get(User, waiting))
        db.session.add(GivenPlan(customer_id=customer.id, tier="pro", created_at=clock.now()))
        db.session.commit()
        ids = {key.name: key.id for key in db.session.execute(select(ApiKey)).scalars()}
    answers = {f"purchase_{waiting}": "mine", f"key_{ids['bought']}": "end"}
    assert attacker.post(mailed_link(house), **answers).location == "/account"
    assert "has to be added by a person" in attacker.get("/account").text
    with house.app_context():
        assert db.session.get(User, waiting).taken_over_by is None
        assert db.session.get(ApiKey, ids["bought"]).revoked_at is None
        assert db.session.execute(select(OutboxMail.to).filter_by(template="takeover_held")).scalar_one()


def test_several_purchases_without_an_account_are_asked_about_one_by_one(house):
    (first, kept), (second, other) = waits(house, credits=100), waits(house, credits=20)
    browser = Browser(house)
    browser.post("/password/forgot", email=VICTIM)
    path = mailed_link(house)
    assert len(fields(browser.get(path))) == 4
    with house.app_context():
        keys = db.session.execute(select(ApiKey.id).order_by(ApiKey.id)).scalars().all()
    answers = {f"purchase_{first}": "mine", f"purchase_{second}": "mine"}
    answers |= {f"key_{keys[0]}": "keep", f"key_{keys[1]}": "end"}
    assert browser.post(path, password=NEW, **answers).location == "/account"
    assert (browser.me, answer(house, kept), answer(house, other)) == (VICTIM, 200, 401)
    with house.app_context():
        assert stripe_customers.find(account(house)).credit_balance == 120
        assert [one.id for one in owners.waiting(VICTIM)] == []
