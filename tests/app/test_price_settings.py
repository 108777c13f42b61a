"""Settings of live prices are matched with the catalogue's entries."""

import pytest

from portal.settings import load
from portal.settings.model import CATALOGUE
from tests.support.env_files import LINKS, PLANS, USAGE
from tests.support.reading import read, refusal

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize("text", [LINKS, USAGE, PLANS + "MAIL_URL=smtp://mail.example.com\n"])
def test_a_live_key_starts_where_the_settings_name_prices(text, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(text)
    assert load({}, env_file).takes_real_money


@pytest.mark.parametrize("key", ["sk_live_51Nx", "rk_live_51Nx"])
def test_a_live_key_does_not_sell_the_sample_catalogue_by_itself(key, tmp_path):
    words = refusal(STRIPE_SECRET_KEY=key)
    assert words.startswith("SAMPLE_CATALOGUE is not set, and catalogue.toml is the sample")
    assert "CATALOGUE" in words
    assert "STRIPE_PRICE_PRO_MONTHLY" in words
    assert read(STRIPE_SECRET_KEY=key, SAMPLE_CATALOGUE="accept").takes_real_money
    assert read(STRIPE_SECRET_KEY=key, STRIPE_ALLOWED_PRICE_IDS="price_1").takes_real_money
    sample = CATALOGUE.read_text()
    (tmp_path / "mine.toml").write_text(sample)
    assert "mine.toml is the sample" in refusal(STRIPE_SECRET_KEY=key, CATALOGUE="mine.toml")
    (tmp_path / "mine.toml").write_text(sample.replace("sample = true", ""))
    assert read(STRIPE_SECRET_KEY=key, CATALOGUE="mine.toml").takes_real_money


def test_the_sample_is_for_the_sandbox_and_test_keys():
    for settings in (read(), read(STRIPE_SECRET_KEY="sk_test_1"), read(STRIPE_TEST_SECRET_KEY="sk_test_1")):
        assert not settings.takes_real_money


def test_two_plans_cannot_share_a_price():
    words = refusal(STRIPE_PRICE_PRO_MONTHLY="price_1", STRIPE_PRICE_PRO_YEARLY="price_1")
    assert [line.split()[0] for line in words.splitlines()] == [
        "STRIPE_PRICE_PRO_MONTHLY",
        "STRIPE_PRICE_PRO_YEARLY",
    ]


CATALOGUE_OF_A_TEAM = """
currency = "usd"
[plans.team]
monthly = { amount = "$99", lookup_key = "team_monthly" }
[plans.pro_plus]
yearly = { amount = "$990", lookup_key = "pro_plus_yearly" }
[[packages]]
key = "big"
[meters.seconds]
unit_price = "0.10"
"""


def test_price_settings_are_matched_with_the_catalogue_s_entries(tmp_path):
    (tmp_path / "mine.toml").write_text(CATALOGUE_OF_A_TEAM)
    settings = read(
        CATALOGUE="mine.toml",
        STRIPE_PRICE_TEAM_MONTHLY="price_1",
        STRIPE_PRICE_PRO_PLUS_YEARLY=" price_2\n",
        STRIPE_PRICE_ID_SECONDS="price_3",
        STRIPE_PRICE_ID_CREDITS_BIG="price_4",
        STRIPE_PRICE_ID_CREDIT="price_5",
        STRIPE_PRICE_PRO_MONTHLY="",
    )
    assert settings.price_ids == {
        "team-monthly": "price_1",
        "pro_plus-yearly": "price_2",
        "seconds": "price_3",
        "credits-big": "price_4",
        "credit": "price_5",
    }
    assert settings.unknown_prices == ()
    assert settings.names_prices


def test_price_settings_that_name_nothing_in_the_catalogue_are_noted_and_not_refused(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("STRIPE_PRICE_TEAM_MONTHLY=whatever\nNEXT_PUBLIC_STRIPE_PRICE_PRO=price_1\n")
    settings = load({"STRIPE_PRICE_ENTERPRISE_YEARLY": "price_2", "STRIPE_PRICE_MAP": "price_3:pro"}, env_file)
    assert settings.unknown_prices == ("STRIPE_PRICE_TEAM_MONTHLY", "STRIPE_PRICE_ENTERPRISE_YEARLY")
    assert settings.price_ids == {}


@pytest.mark.parametrize(
    "text", ["plans = 1", "[plans]\npro = 1\n", "packages = [1]\nmeters = []", "=", "plans = ["]
)
def test_a_broken_catalogue_is_not_the_price_settings_affair(text, tmp_path):
    (tmp_path / "broken.toml").write_text(text)
    settings = read(CATALOGUE="broken.toml", STRIPE_PRICE_PRO_MONTHLY="price_1")
    assert settings.unknown_prices == ("STRIPE_PRICE_PRO_MONTHLY",)


def test_a_package_and_a_plan_cannot_share_a_price():
    words = refusal(STRIPE_PRICE_PRO_MONTHLY="price_1", STRIPE_PRICE_ID_CREDITS_BASIC="price_1")
    assert words.count("is the price of another plan, cycle or package too") == 2
