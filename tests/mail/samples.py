"""Facts for each mail: one sample for each way that it can read. A name is the template's, or `template-way`."""

from datetime import UTC, datetime
from typing import Any

SOON = "2027-03-01T12:00:00+00:00"
LATER = "2027-03-07T12:00:00+00:00"

PAGE = {"page": "https://portal.test/billing"}
USAGE = {"page": "https://portal.test/usage"}
LINK = {"url": "https://portal.test/verify/t0ken", "expires": datetime(2027, 3, 1, 12, tzinfo=UTC)}
MONEY = {"amount": 4999, "currency": "usd"}
FAILED = {"plan": "Pro", "until": LATER, "ended": False, "again": SOON, **MONEY, **PAGE}
PRICE = {"price": ["5 × $49.99 a month", "Support: $10.00 a month"]}
TRIAL = {
    "plan": "Pro",
    "ends_at": SOON,
    "has_card": True,
    "sent": False,
    "without": "cancel",
    **PRICE,
    **MONEY,
    **PAGE,
}
INCLUDED = {"percent": 80, "plan": "Pro", "credits": 20000, "left": 3999, "expires_at": SOON, **PAGE}
UNITS = {
    "percent": 80,
    "meter": "API calls",
    "used": "40,000",
    "included": 50000,
    "month": "November 2026",
    "price": "$0.01 per 1,000",
    "pays": False,
    "resets_on": "1 December",
    **USAGE,
}
CARD = {"plan": "Pro", "brand_of_card": "Visa", "last4": "4242", "exp_month": 3, "exp_year": 2027, **PAGE}
ENDING = {"plan_name": "Pro", "at": SOON, "owing": False, **PAGE}
CHANGED = {"plan_name": "Pro", "at": None, "price": ["$479.99 a year"], **PAGE}
ON_ITS_WAY = {"plan": "Pro", "waits": True, "sent": False, **PAGE}
CREDITS = {"credits": 5500, "balance": 6000, "order": "PO-7F3K9QXM2C", "auto": False, **MONEY, **PAGE}
FOLLOWED = {"credits": None, "balance": None, "top_up_paused": False, "access": None, "suspended": False}
REVERSED = {
    **FOLLOWED,
    "what": "refund",
    "back": False,
    "bought": "credits",
    "name": "5,500 credits",
    **MONEY,
    **PAGE,
}
TAKEN = REVERSED | {"credits": -5500, "balance": 500}
DISPUTE = {"status": "needs_response", "email": "alice@example.com", **REVERSED}
KEY = {"what": "made", "name": "Website", "prefix": "key_live_4fJq81Lz", **PAGE}
UNPLACED = {
    "session": "cs_live_a1b2",
    "price": "price_1SGaX7Lc",
    "fix": "STRIPE_PRICE_MAP=price_1SGaX7Lc:pro",
    **MONEY,
    **PAGE,
}
BEGUN = {"sessions": 2, "keys": ["key_live_4fJq81Lz"], "second_factor": True, "email_change": True}

TWO_PLANS = {
    "new": {"plan_name": "Pro", **PRICE},
    "old": {"plan_name": "Starter", "price": ["$199.99 a year"]},
    "is_joined": True,
    **PAGE,
}

ALERT = {
    "alert": "webhook failures",
    "severity": "critical",
    "host": "web-1",
    "words": "12 of 100 attempts to handle a Stripe event failed in 5 minutes.",
    "portal": "billing.example.com",
    "began": "2026-11-27 09:12 UTC",
    "ended": "",
}
STUCK = {
    "email": "alice@example.com",
    "invoice": "in_1SGaX7Lc",
    "code": "customer_tax_location_invalid",
    **MONEY,
    **PAGE,
}

LIMIT = {"percent": 75, "amount": 7512, "limit": 10000, "currency": "usd", "month": "November 2026", **USAGE}

SAMPLES: dict[str, dict[str, Any]] = {
    "account_deleted": {},
    "api_key-made": KEY,
    "api_key-rotated": KEY | {"what": "rotated"},
    "api_key-revoked": KEY | {"what": "revoked"},
    "begun_anew": BEGUN | {"sessions": 1, "keys": [], "second_factor": False, "email_change": False},
    "begun_anew-all": BEGUN,
    "cancelled": ENDING,
    "cancelled-owing": ENDING | {"owing": True},
    "cancelled-over": ENDING | {"at": None},
    "card_expiring": CARD,
    "change_not_paid": {"sent": False, **PAGE},
    "change_not_paid-sent": {"sent": True, **PAGE},
    "change_on_its_way": ON_ITS_WAY,
    "change_on_its_way-now": ON_ITS_WAY | {"waits": False},
    "change_on_its_way-sent": ON_ITS_WAY | {"sent": True},
    "change_on_its_way-sent-now": ON_ITS_WAY | {"sent": True, "waits": False},
    "claim": LINK,
    "claim-moved": LINK | {"moved": True},
    "confirm_payment": FAILED,
    "confirm_payment-ended": FAILED | {"ended": True},
    "credits_added": CREDITS,
    "credits_added-auto": CREDITS | {"auto": True},
    "dispute": DISPUTE,
    "dispute-inquiry": DISPUTE | {"status": "warning_needs_response"},
    "dispute-suspended": DISPUTE | {"status": "under_review", "suspended": True},
    "dispute-usage": DISPUTE | {"status": "lost", "bought": "usage", "name": "invoice ABC-0001"},
    "dispute-won": DISPUTE | {"status": "won"},
    "fraud_warning": {
        "fraud_type": "made_with_stolen_card",
        "email": "alice@example.com",
        "name": "Pro",
        **MONEY,
        **PAGE,
    },
    "email_changed": {},
    "email_new": LINK,
    "email_old": {"new_email": "a…@example.org", **LINK},
    "included_credits": INCLUDED,
    "included_credits-all": INCLUDED | {"percent": 100, "left": 0},
    "included_units": UNITS,
    "included_units-pays": UNITS | {"pays": True},
    "alert": ALERT,
    "alert-ended": ALERT | {"ended": "2026-11-27 09:30 UTC"},
    "invoice_not_finalized": STUCK,
    "invoice_not_finalized-other": STUCK | {"code": "taxes_calculation_failed"},
    "low_balance": {"balance": 90, "threshold": 100, **PAGE},
    "password_changed": {},
    "payment_failed": FAILED,
    "payment_failed-last": FAILED | {"again": None},
    "payment_failed-ended": FAILED | {"ended": True},
    "payment_unplaced": MONEY,
    "payment_unplaced_admin": UNPLACED,
    "payment_unplaced_admin-no_price": UNPLACED | {"price": None, "fix": ""},
    "payment_reversed": TAKEN,
    "payment_reversed-owed": TAKEN | {"what": "dispute", "balance": -500, "top_up_paused": True},
    "payment_reversed-back": TAKEN | {"credits": 5500, "balance": 6000, "back": True},
    "payment_reversed-won": TAKEN | {"what": "dispute", "credits": 5500, "balance": 6000, "back": True},
    "payment_reversed-ended": REVERSED | {"bought": "plan", "name": "Pro", "access": "ended"},
    "payment_reversed-again": REVERSED | {"bought": "plan", "name": "Pro", "access": "kept", "back": True},
    "payment_reversed-invoice": REVERSED | {"bought": "subscription", "name": "invoice ABC-0001"},
    "payment_reversed-usage": REVERSED | {"bought": "usage", "name": "invoice ABC-0001"},
    "plan_changed": CHANGED,
    "plan_changed-planned": CHANGED | {"at": SOON},
    "plan_given": {"plan": "Beta", "until": SOON, **PAGE},
    "plan_given-open": {"plan": "Beta", "until": None, **PAGE},
    "plan_given_ended": {"plan": "Beta", "now_on": "Free", **PAGE},
    "reactivated": USAGE,
    "purchase_disowned": PAGE,
    "price_changes": {
        "plan_name": "Pro",
        "was": "$49.99 a month",
        "price": "$59.99 a month",
        "when": "on Jan 31, 2027",
        **PAGE,
    },
    "price_unknown": {
        "email": "alice@example.com",
        "plan_name": "Pro",
        "price": "price_1SGaX7Lc",
        "tier": "pro",
        "interval": "month",
        "interval_count": 1,
        **MONEY,
        **PAGE,
    },
    "receipt": {"number": "ABC-0001", "paid_at": SOON, **MONEY, **PAGE},
    "refund_twice": {
        "email": "alice@example.com",
        "name": "5,500 credits",
        "refund": "re_1SGaX7Lc",
        **MONEY,
        **PAGE,
    },
    "reset": LINK,
    "second_plan": TWO_PLANS,
    "second_plan-waiting": TWO_PLANS | {"is_joined": False},
    "second_plan_admin": TWO_PLANS | {"email": "alice@example.com"},
    "second_factor_off": {},
    "second_factor_on": {},
    "spend_limit": LIMIT | {"hard_stop": False},
    "spend_limit-stop": LIMIT | {"hard_stop": True},
    "suspended": {"why": "There is no payment method any more.", **USAGE},
    "takeover_held": {"account": 7, **PAGE},
    "top_up_failed": {"why": "Your card was declined. We try again later.", "paused": False, **PAGE},
    "top_up_failed-paused": {"why": "Your card was declined three times.", "paused": True, **PAGE},
    "trial_ended_early": TRIAL,
    "trial_ending": TRIAL,
    "trial_ending-no_card": TRIAL | {"has_card": False},
    "trial_ending-paused": TRIAL | {"has_card": False, "without": "pause", "amount": None},
    "trial_ending-fails": TRIAL | {"has_card": False, "without": "create_invoice"},
    "trial_ending-sent": TRIAL | {"sent": True},
    "usage_started": USAGE,
    "verify": LINK,
    "welcome": PAGE,
}
