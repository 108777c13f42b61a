"""The phases of subscription schedules as calls give them."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.pricing import currencies, discounts, periods, tax_rates, taxes
from portal.sandbox.domain.subscriptions import subscription_items
from portal.sandbox.domain.subscriptions.schedules import phases
from portal.sandbox.resources.common import given
from portal.sandbox.resources.subscription_items import priced
from portal.sandbox.resources.subscriptions import extras, require_own, require_recurring

Json = dict[str, Any]
MOST = 10  # phases
SHOWN = ("collection_method", "default_payment_method", "description", "metadata", "proration_behavior")
WHOLE: Json = {"end": {"type": "min_item_period_end"}, "start": {"type": "max_item_period_start"}}
INVOICES: Json = dict.fromkeys(("account_tax_ids", "custom_fields", "days_until_due", "description", "footer"))


def read(
    account: Account, customer: Json, asked: list[Json], start: int | None, currency: str | None
) -> list[Json]:
    """Return the phases in the stored format, in order, all in one currency. Raises StripeError.

    start: when the first begins, if it does not say so itself · currency: that of an existing subscription.
    """
    if len(asked) > MOST:
        raise StripeError(f"A subscription schedule can have up to {MOST} phases.", param="phases")
    made: list[Json] = []
    for number, wanted in enumerate(asked):
        at = f"phases[{number}]"
        begins = account.now() if wanted.get("start_date") == "now" else wanted.get("start_date")
        begins = made[-1]["end_date"] if begins is None and made else begins
        begins = start if begins is None else begins
        if begins is None:
            words = "The subscription schedule update is missing at least one phase with a `start_date` to anchor "
            raise StripeError(words + "end dates to.", param=f"{at}[start_date]")
        made.append(phase(account, customer, wanted, at, int(begins), currency))
        currency = made[0]["currency"]
        if len(made) > 1 and made[-1]["start_date"] != made[-2]["end_date"]:
            raise StripeError("A phase must begin where the one before it ends.", param=f"{at}[start_date]")
    return made


def phase(account: Account, customer: Json, raw: Json, at: str, start: int, currency: str | None) -> Json:
    """Return one phase. Raises StripeError."""
    wanted = given(raw)
    found = [priced(account, item, f"{at}[items][{n}]") for n, item in enumerate(wanted["items"])]
    require_recurring(found, f"{at}[items]")
    currency = currency_of(found, wanted, customer, currency, at)
    subscription_items.require_together(found, currency, f"{at}[items]")
    items = [
        phases.item(one["price"], one | {"discounts": named(account, one, f"{at}[items][{n}]")})
        for n, one in enumerate(found)
    ]
    require_own(account, wanted, customer["id"], at)
    kept: Json = {name: wanted[name] for name in SHOWN if name in wanted}
    kept |= {"currency": currency, "items": items, "start_date": start}
    kept["end_date"] = end_of(account, wanted, items, start, at)
    kept["trial_end"] = trial_end(account, wanted, kept["end_date"], at)
    kept["billing_cycle_anchor"] = wanted.get("billing_cycle_anchor")
    kept["billing_thresholds"] = wanted.get("billing_thresholds")
    rates, tax_at = wanted.get("default_tax_rates"), f"{at}[default_tax_rates]"
    kept["default_tax_rates"] = tax_rates.named(account, rates, tax_at)
    kept["discounts"] = named(account, wanted, at)
    kept["_"] = {"bare": "discounts" in raw and not raw["discounts"]}
    kept["add_invoice_items"] = [extra(account, one, at) for one in extras(account, wanted, at)]
    if "invoice_settings" in wanted:
        kept["invoice_settings"] = INVOICES | {"issuer": None} | given(wanted["invoice_settings"])
    if "automatic_tax" in wanted:
        kept["automatic_tax"] = taxes.free(wanted["automatic_tax"])
    return phases.PHASE | kept


def currency_of(items: list[Json], wanted: Json, customer: Json, currency: str | None, at: str) -> str:
    """Return the currency of a phase, which all phases share. Raises StripeError."""
    asked = wanted.get("currency")
    if currency and asked and asked.lower() != currency:
        raise StripeError("All phases must have the same currency.", param=f"{at}[currency]")
    return currencies.chosen([one["price"] for one in items], asked or currency, customer)


def end_of(account: Account, wanted: Json, items: list[Json], start: int, at: str) -> int:
    """Return when a phase ends; without a date or duration it lasts one billing period. Raises StripeError."""
    end, lasts = wanted.get("end_date"), wanted.get("duration")
    if end is not None and lasts:
        words = "You may only specify one of these parameters: end_date, duration."
        raise StripeError(words, param=f"{at}[duration]")
    if end == "now":
        end = account.now()
    elif lasts:
        end = periods.boundary(start, {"interval_count": 1} | given(lasts), 1)
    elif end is None:
        end = periods.boundary(start, account.find("price", items[0]["price"])["recurring"], 1)
    if int(end) <= start:
        raise StripeError("A phase must end after it begins.", param=f"{at}[end_date]")
    return int(end)


def trial_end(account: Account, wanted: Json, end: int, at: str) -> int | None:
    """Return when a phase's trial ends. Raises StripeError."""
    moment = wanted.get("trial_end")
    if wanted.get("trial") and moment is not None:
        words = "You may only specify one of these parameters: trial, trial_end."
        raise StripeError(words, param=f"{at}[trial_end]")
    if wanted.get("trial"):
        return end
    if moment == "now":
        return account.now()
    if moment is not None and moment > end:
        raise StripeError("A trial must end before its phase does.", param=f"{at}[trial_end]")
    return moment


def named(account: Account, owner: Json, at: str) -> list[Json]:
    """Return the discounts of a phase or of its item as it shows them. Raises StripeError for one that doesn't
    exist or cannot be used.
    """
    made = []
    for number, one in enumerate(owner.get("discounts") or []):
        shown: Json = {"coupon": None, "discount": None, "promotion_code": None} | given(one)
        here = f"{at}[discounts][{number}]"
        if shown["discount"]:
            account.find("discount", shown["discount"], f"{here}[discount]")
        else:
            discounts.named(account, shown, here)
        made.append(shown)
    return made


def extra(account: Account, one: Json, at: str) -> Json:
    """Return one of add_invoice_items as a phase shows it."""
    return {
        "discountable": one.get("discountable"),
        "discounts": named(account, one, f"{at}[add_invoice_items]"),
        "metadata": one.get("metadata") or {},
        "period": WHOLE | (one.get("period") or {}),
        "price": one["price"]["id"],
        "quantity": one.get("quantity") or 1,
        "tax_rates": one.get("tax_rates") or [],
    }
