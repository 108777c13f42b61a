"""Load the catalogue into the database, as `flask seed-plans` does."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import select, update

from portal import money
from portal.catalogue import catalogue_file, meters, packages, plans
from portal.catalogue.prices import given_price
from portal.extensions import db
from portal.models import CreditPackage, Customer, Meter, Plan, Price

RULE = "=" * 70
Row = TypeVar("Row", CreditPackage, Meter, Plan, Price)
Unit = TypeVar("Unit", CreditPackage, Meter)


@dataclass
class Loaded:
    """The result of loading: one line per plan, in the catalogue's order."""

    lines: list[str] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)  # one line per credit package
    meters: list[str] = field(default_factory=list)  # one line per meter


def into_database(catalogue: catalogue_file.Catalogue, price_ids: dict[str, str]) -> Loaded:
    """Insert or update everything that is sold, and withdraw what left the catalogue. Can be repeated.

    `price_ids` are the live price ids from the environment, by catalogue key. They take precedence over pushed
    ones. Flushes.
    """
    done = _plans(catalogue, price_ids)
    done.packages = _rows(CreditPackage, packages.facts(catalogue, price_ids), "credits", "them")
    done.meters = _rows(Meter, meters.facts(catalogue, price_ids), "meter", "it")
    # The entitlements that a running portal has cached are stale. Customers are locked after the catalogue.
    if not all(line.startswith("Unchanged") for line in done.lines):
        db.session.execute(update(Customer).values(access_version=Customer.access_version + 1))
    return done


def _plans(catalogue: catalogue_file.Catalogue, price_ids: dict[str, str]) -> Loaded:
    known = {plan.key: plan for plan in db.session.execute(select(Plan)).scalars()}
    by_tier = {plan.tier: plan.key for plan in known.values()}
    done = Loaded()
    for entry in catalogue.plans:
        # A plan with a new key is still the plan of its tier.
        found = entry.key if entry.key in known else by_tier.get(entry.tier, "")
        plan, verb = _bring(Plan, known.pop(found, None), plans.facts(entry))
        changed = _prices(plan, entry, price_ids)
        verb = "Updated" if changed and verb == "Unchanged" else verb
        done.plans.append(plan)
        done.lines.append(f"{verb} {entry.name} plan with {plans.feature_count(entry)} features")
    for plan in _withdraw(known.values()):
        done.lines.append(f"Withdrew {plan.name} plan: the catalogue no longer has it")
    return done


def _rows(model: type[Unit], wanted: Iterable[dict[str, Any]], noun: str, pronoun: str) -> list[str]:
    """Load the packages or the meters, and return a line for each. Flushes."""
    known = {row.key: row for row in db.session.execute(select(model)).scalars()}
    lines = []
    for facts in wanted:
        row, verb = _bring(model, known.pop(facts["key"], None), facts)
        lines.append(f"{verb} {row.name} {noun}")
    for row in _withdraw(known.values()):
        lines.append(f"Withdrew {row.name} {noun}: the catalogue no longer has {pronoun}")
    db.session.flush()
    return lines


def _prices(plan: Plan, entry: catalogue_file.Plan, price_ids: dict[str, str]) -> bool:
    """Load a plan's prices, and return whether any changed. Flushes.

    Another lookup key, or another id in the setting, makes another row. The price that was on sale stays as
    withdrawn, because its subscribers still pay it.
    """
    rows = {wanted: _row(plan, wanted, price_ids.get(wanted.key)) for wanted in entry.prices}
    changed = bool(_withdraw(price for price in plan.prices if price not in rows.values()))
    moved = {wanted: _take_test_price(plan, wanted, row) for wanted, row in rows.items()}
    db.session.flush()  # first: keys are unique among the prices on sale
    for wanted, row in rows.items():
        if row is None:
            row = Price()
            plan.prices.append(row)
        facts = vars(wanted) | given_price(wanted.key, price_ids) | moved[wanted]
        changed |= _write(row, facts | {"withdrawn": False})
    return changed


def _row(plan: Plan, wanted: catalogue_file.Price, given: str | None) -> Price | None:
    """Return the row of a price of the catalogue; None if it needs a new one. `given` is the setting's id."""
    newest = sorted(plan.prices, key=lambda price: (price.withdrawn, -(price.id or 0)))
    same = [price for price in newest if price.lookup_key == wanted.lookup_key]
    if given is None:
        return next(iter(same), None)
    own = (price for price in newest if price.live_price_id == given)
    return next(own, next((price for price in same if price.live_price_id is None), None))


def _take_test_price(plan: Plan, wanted: catalogue_file.Price, row: Price | None) -> dict[str, str]:
    """Take the test price from another row with this lookup key, because the settings name live prices alone.

    Returns the columns of the row that is on sale now.
    """
    others = [one for one in plan.prices if one is not row and one.lookup_key == wanted.lookup_key]
    holder = next((one for one in others if one.test_price_id), None)
    if holder is None or holder.test_price_id is None or (row and row.test_price_id):
        return {}
    taken = {"test_price_id": holder.test_price_id}
    holder.test_price_id = None
    return taken


def _bring(model: type[Row], row: Row | None, facts: dict[str, Any]) -> tuple[Row, str]:
    """Insert the row, or update it and put it on sale again. Return it, and Created, Updated or Unchanged."""
    if row is None:
        row = model(**facts)
        db.session.add(row)
        return row, "Created"
    return row, "Updated" if _write(row, facts | {"withdrawn": False}) else "Unchanged"


def _write(row: Row, facts: dict[str, Any]) -> bool:
    """Update the fields that differ and return whether any did."""
    differing = {name: value for name, value in facts.items() if getattr(row, name) != value}
    for name, value in differing.items():
        setattr(row, name, value)
    return bool(differing)


def _withdraw(rows: Iterable[Row]) -> list[Row]:
    """Withdraw the rows that left the catalogue and return those that were on sale until now."""
    return [row for row in rows if _write(row, {"withdrawn": True})]


def report(done: Loaded) -> str:
    """Return the result as text, for people and scripts that read the command's output."""
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
