"""The sample catalogue matches the contract, and an invalid one reports every error with its line."""

from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path

import pytest

from portal import money
from portal.catalogue import catalogue_file, plans
from portal.catalogue.catalogue_file import BadCatalogue

SHIPPED = Path(catalogue_file.__file__).parent.parent / "catalogue.toml"

SMALL = """\
currency = "usd"
markup = 0.15

[plans.free]
name = "Free"
tier = "free"
features = [
  "a = b, and a word",
]
monthly = { amount = "0", lookup_key = "free_monthly" }

[plans.pro]
name = "Pro"
tier = "pro"
features = ["All of it"]
monthly = { amount = "$49.99", lookup_key = "pro_monthly" }

[plans.pro.entitlements]
models = "all"

[[packages]]
id = 1
key = "starter"
name = "Starter"
credits = 1_000
amount = "$10"

[[packages]]
id = 2
key = "basic"
name = "Basic"
credits = 5_500
amount = "$45"

[custom]
credits_per_unit = 100
minimum = "$1"
maximum = "$1,000"

[meters.api_calls]
name = "API calls"
unit_price = "0.01"
per = 1_000
"""


@pytest.fixture(scope="module")
def shipped():
    return catalogue_file.read(SHIPPED)


@pytest.fixture
def refusal(tmp_path):
    def of(old, new):
        assert old in SMALL
        path = tmp_path / "catalogue.toml"
        path.write_text(SMALL.replace(old, new))
        with pytest.raises(BadCatalogue) as caught:
            catalogue_file.read(path)
        return str(caught.value)

    return of


def test_the_plans_cost_what_the_contract_says(shipped):
    amounts = {price.key: price.amount for plan in shipped.plans for price in plan.prices}
    assert amounts == {
        "free-monthly": 0,
        "beta-monthly": 0,
        "starter-monthly": 1999,
        "starter-yearly": 19999,
        "pro-monthly": 4999,
        "pro-yearly": 47999,
        "enterprise-monthly": 19900,
    }
    assert {price.interval for plan in shipped.plans for price in plan.prices} == {"month", "year"}
    assert shipped.currency == "usd"


def test_the_plans_have_the_features_that_the_contract_counts(shipped):
    counts = {plan.key: plans.feature_count(plan) for plan in shipped.plans}
    assert (counts["free"], counts["starter"], counts["pro"]) == (7, 7, 9)
    assert [plan.key for plan in shipped.plans if plan.hidden] == ["beta"]
    assert [plan.key for plan in shipped.plans if plan.recommended] == ["pro"]


def test_every_paid_plan_outranks_those_that_cost_nothing(shipped):
    monthly = [plan.prices[0].amount for plan in shipped.plans]
    assert monthly == sorted(monthly)
    assert [plan.position for plan in shipped.plans] == list(range(len(shipped.plans)))


def test_the_words_of_a_plan_agree_with_its_entitlements(shipped):
    for plan in shipped.plans:
        words = " ".join(plan.features)
        assert plan.included == {"api_calls": plan.entitlements["requests_per_month"]}
        assert f"{plan.entitlements['requests_per_minute']:,} requests a minute" in words
        assert f"{plan.entitlements['api_keys']} API key" in words
        assert f"{plan.entitlements['log_days']} days of request logs" in words


def test_the_credit_packages_are_those_of_the_contract(shipped):
    found = [(package.id, package.key, package.credits, package.amount) for package in shipped.packages]
    assert found == [
        (1, "starter", 1000, 1000),
        (2, "basic", 5500, 4500),
        (3, "pro", 13500, 10000),
        (4, "business", 35000, 22500),
        (5, "enterprise", 120000, 70000),
    ]
    assert (shipped.custom.credits_per_unit, shipped.custom.minimum, shipped.custom.maximum) == (100, 100, 100000)
    assert shipped.markup == Decimal("0.15")


def test_the_meters_have_exact_prices(shipped):
    found = {meter.key: (meter.unit_price, meter.per) for meter in shipped.meters}
    assert found == {
        "cpu_hour": (Decimal("0.10"), 1),
        "gpu_hour": (Decimal("2.00"), 1),
        "storage_gb_month": (Decimal("0.15"), 1),
        "api_calls": (Decimal("0.01"), 1000),
    }


def test_a_catalogue_cannot_be_changed(shipped):
    with pytest.raises(FrozenInstanceError):
        shipped.plans[0].name = "Gratis"


def test_entitlements_are_plain_values_that_json_can_hold(shipped):
    values = [value for plan in shipped.plans for value in plan.entitlements.values()]
    assert {type(value) for value in values} == {bool, int, float, str}
    assert False not in [value for value in values if isinstance(value, bool)]


def test_amounts_are_read_in_the_currency_of_the_file(tmp_path):
    path = tmp_path / "yen.toml"
    yen = SMALL.replace('"usd"', '"jpy"').replace("$49.99", "4,999").replace("$", "")
    path.write_text(yen)
    price = catalogue_file.read(path).plans[1].prices[0]
    assert (price.amount, money.text(price.amount, price.currency)) == (4999, "¥4,999")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"$49.99"', '"$49.999"', 16, 'plans.pro.monthly.amount: "$49.999" has more decimals than USD allows'),
        ('"$49.99"', '"-1"', 16, 'plans.pro.monthly.amount: "-1" is not an amount'),
        ('"$49.99"', "49.99", 16, "plans.pro.monthly.amount: should be a valid string"),
        ('"pro_monthly"', '"free_monthly"', 16, "plans.pro.monthly.lookup_key: is the same as that of plans.free"),
        ('"pro_monthly" }', '"p" }\nweekly = "$9"', 17, "plans.pro.weekly: is not a key that belongs here"),
        ('tier = "pro"\n', "", 12, "plans.pro.tier: is missing"),
        ('tier = "free"', 'tier = "basic"', 1, 'plans: has no plan of the tier "free"'),
        ('amount = "0"', 'amount = "1"', 4, "plans.free: is the free plan and costs something"),
        ('models = "all"', "models = false", 19, "plans.pro.entitlements.models: is not true, a number or a text"),
        ('features = ["All of it"]', "features = []", 15, "plans.pro.features: "),
        (
            'tier = "pro"',
            'tier = "pro"\ncredits = -1',
            15,
            "plans.pro.credits: should be greater than or equal to 0",
        ),
        ('tier = "pro"', 'tier = "pro"\ncredits = "20"', 15, "plans.pro.credits: should be a valid integer"),
        ('tier = "free"', 'tier = "free"\ncredits = 5', 7, "plans.free.credits: come with paid invoices"),
        (
            'tier = "pro"',
            'tier = "pro"\nrollover = 1',
            15,
            "plans.pro.rollover: keeps credits that the plan does not",
        ),
        (
            'tier = "pro"',
            'tier = "pro"\ncredits = 5\nrollover = 121',
            16,
            "plans.pro.rollover: should be less than",
        ),
        (
            'tier = "pro"',
            'tier = "pro"\ncredits = 5\ncredits_in_trial = true',
            16,
            "plans.pro.credits_in_trial: needs",
        ),
        (
            'tier = "pro"',
            'tier = "pro"\nincluded = { calls = 5 }',
            15,
            "plans.pro.included.calls: is not a meter: use api_c",
        ),
        (
            'tier = "pro"',
            'tier = "pro"\nincluded = { api_calls = 0 }',
            15,
            "plans.pro.included.api_calls: should be gr",
        ),
        (
            'tier = "pro"',
            'tier = "pro"\nincluded = { api_calls = 0.5 }',
            15,
            "plans.pro.included.api_calls: should be",
        ),
        ('tier = "pro"', 'tier = "pro"\nincluded = 5', 15, "plans.pro.included: "),
        ('name = "Pro"', "name = 7", 13, "plans.pro.name: should be a valid string"),
        ("credits = 5_500", "credits = 5.5", 32, "packages.2.credits: should be a valid integer"),
        ("credits = 5_500", "credits = 0", 32, "packages.2.credits: should be greater than or equal to 1"),
        ("id = 2", "id = 1", 29, "packages.2.id: is the same as that of packages.1"),
        ('key = "basic"', 'key = "starter"', 30, "packages.2.key: is the same as that of packages.1"),
        ('amount = "$45"', 'amount = "$0"', 33, "packages.2.amount: gives credits for nothing"),
        ('minimum = "$1"', 'minimum = "$2,000"', 37, "custom.minimum: is not between nothing and the maximum"),
        ('unit_price = "0.01"', 'unit_price = "cheap"', 42, "meters.api_calls.unit_price: "),
        ("per = 1_000", "per = 0", 43, "meters.api_calls.per: should be greater"),
        ("markup = 0.15", "markup = 15", 2, "markup: should be less than or equal to 10"),
        ("markup = 0.15", "markup = nan", 2, "markup: should be a finite number"),
        ('currency = "usd"', 'currency = "dollars"', 1, "currency: "),
        ('currency = "usd"', 'colour = "red"\ncurrency = "usd"', 1, "colour: is not a key that belongs here"),
        ('name = "Pro"', 'name = "Pro', 13, "Illegal character"),
        ('name = "Pro"', 'name = "Pro"\nname = "Pro"', 14, "Cannot overwrite a value"),
    ],
)
def test_a_fault_is_named_with_its_line(refusal, old, new, line, words):
    found = refusal(old, new)
    assert found.startswith(f"catalogue.toml:{line}: {words}")
    assert len(found.splitlines()) == 1


def test_a_plan_without_any_price_is_refused(refusal):
    gone = 'monthly = { amount = "$49.99", lookup_key = "pro_monthly" }\n'
    assert refusal(gone, "").startswith("catalogue.toml:12: plans.pro: has no price")


@pytest.mark.parametrize("key", ["draft", "final", "credits"])
def test_a_meter_has_no_name_that_a_bill_uses(refusal, key):
    found = refusal("[meters.api_calls]", f"[meters.{key}]")
    assert f"meters.{key}: is a name that monthly bills use themselves" in found


def test_two_plans_cannot_share_a_tier_or_both_be_recommended(refusal):
    other = """recommended = true
[plans.other]
name = "Other"
tier = "pro"
recommended = true
features = ["Some of it"]
yearly = { amount = "$9", lookup_key = "other_yearly" }
[plans.pro.entitlements]"""
    assert refusal("\n[plans.pro.entitlements]", other).splitlines() == [
        "catalogue.toml:20: plans.other.tier: is the same as that of plans.pro",
        "catalogue.toml:21: plans.other.recommended: is the same as that of plans.pro",
    ]


def test_a_markup_may_be_a_whole_number(tmp_path):
    path = tmp_path / "catalogue.toml"
    path.write_text(SMALL.replace("0.15", "0"))
    assert catalogue_file.read(path).markup == 0


def test_all_faults_are_named_at_once_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "catalogue.toml"
    path.write_text(SMALL.replace('"$1"', '"x"').replace('"Pro"', "1").replace("id = 2", 'id = "2"'))
    with pytest.raises(BadCatalogue) as caught:
        catalogue_file.read(path)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["13", "29", "37"]
