"""Loading the catalogue into the database: `flask seed-plans`."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update

from portal import catalogue as file
from portal import money
from portal.credits import packages
from portal.extensions import db
from portal.models import Customer, Plan, Price
from portal.purchases import loading
from portal.usage import meters

RULE = "=" * 70


@dataclass
class Seeded:
    """What loading did: the words of each plan's line, in the catalogue's order."""

    lines: list[str] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)  # likewise, a line for each package of credits
    meters: list[str] = field(default_factory=list)  # and for each meter


def seed(catalogue: file.Catalogue, price_ids: dict[str, str]) -> Seeded:
    """Bring all that is sold to what the catalogue says, withdraw what it lost. Again changes nothing.

    `price_ids` are the live price ids given by the environment, by catalogue key: they win over pushed ones.
    Flushes.
    """
    known = {plan.key: plan for plan in db.session.execute(select(Plan)).scalars()}
    done = Seeded()
    by_tier = {plan.tier: plan.key for plan in known.values()}
    for entry in catalogue.plans:
        # A plan that was given another key is still the one of its tier.
        found = entry.key if entry.key in known else by_tier.get(entry.tier, "")
        plan, verb = _plan(known.pop(found, None), entry)
        changed = _prices(plan, entry, price_ids)
        verb = "Updated" if changed and verb == "Unchanged" else verb
        done.plans.append(plan)
        done.lines.append(f"{verb} {entry.name} plan with {len(entry.features)} features")
    for plan in loading.withdraw(known.values()):
        done.lines.append(f"Withdrew {plan.name} plan: the catalogue no longer has it")
    # What a running portal remembers of entitlements is stale.
    if not all(line.startswith("Unchanged") for line in done.lines):
        db.session.execute(update(Customer).values(access_version=Customer.access_version + 1))
    done.packages = packages.seed(catalogue, price_ids)
    done.meters = meters.seed(catalogue, price_ids)
    db.session.flush()
    return done


def _plan(plan: Plan | None, entry: file.Plan) -> tuple[Plan, str]:
    facts = {
        "key": entry.key,
        "tier": entry.tier,
        "name": entry.name,
        "description": entry.description,
        "features": list(entry.features),
        "entitlements": dict(entry.entitlements),
        "position": entry.position,
        "hidden": entry.hidden,
        "recommended": entry.recommended,
        "trial_days": entry.trial_days,
        "trial_needs_card": entry.trial_needs_card,
        "on_dispute": entry.on_dispute,
        "withdrawn": False,
    }
    if plan is None:
        plan = Plan(**facts)
        db.session.add(plan)
        return plan, "Created"
    return plan, "Updated" if loading.write(plan, facts) else "Unchanged"


def _prices(plan: Plan, entry: file.Plan, price_ids: dict[str, str]) -> bool:
    known = {price.lookup_key: price for price in plan.prices}
    changed = False
    for wanted in entry.prices:
        price = known.pop(wanted.lookup_key, None)
        if price is None:
            price = Price()
            plan.prices.append(price)
        facts: dict[str, Any] = {
            "key": wanted.key,
            "lookup_key": wanted.lookup_key,
            "amount": wanted.amount,
            "currency": wanted.currency,
            "interval": wanted.interval,
            "withdrawn": False,
        }
        if wanted.key in price_ids:
            facts["live_price_id"] = price_ids[wanted.key]
        changed |= loading.write(price, facts)
    return bool(loading.withdraw(known.values())) or changed


def report(done: Seeded) -> str:
    """What was done, in the form that seed 2 shows."""
    lines = [RULE, "Subscription Plans Seed Script", RULE, "", "Seeding subscription plans..."]
    lines += [f"  ✓ {line}" for line in done.lines]
    paid = [price for plan in done.plans for price in plan.prices if price.amount and not price.withdrawn]
    missing = [price for price in paid if price.live_price_id is None]
    ids = "" if missing else " with production Stripe price IDs"
    lines += ["", f"✓ Successfully seeded {len(done.plans)} subscription plans{ids}", "", "Plans created:"]
    for plan in done.plans:
        lines += _described(plan)
    ready = f"{len(missing)} prices are not at Stripe yet: run `flask catalogue push`."
    lines += ["", ready if missing else "Stripe integration ready for production use."]
    lines += ["", "Seeding credit packages...", *(f"  ✓ {line}" for line in done.packages)]
    lines += ["", "Seeding meters...", *(f"  ✓ {line}" for line in done.meters)]
    return "\n".join([*lines, "", RULE, "Seed completed successfully!", RULE])


def _described(plan: Plan) -> list[str]:
    prices = [price for price in plan.prices if not price.withdrawn]
    words = " or ".join(
        f"{money.text(price.amount, price.currency, short=True)}/{'mo' if price.interval == 'month' else 'yr'}"
        for price in prices
    )
    head = f"  • {plan.name + ' Plan':<15} ({words})"
    ids = [(price.interval, price.live_price_id or "not pushed yet") for price in prices]
    if len(ids) == 1:
        return [f"{head} - Price ID: {ids[0][1]}"]
    return [head] + [f"    - {interval.capitalize() + 'ly:':<9}{price_id}" for interval, price_id in ids]
