"""Every page of the portal, room by room. A room's new places are added here, and so are checked and pictured."""

from tests.browser import (
    account_places,
    admin_places,
    buying_places,
    credit_places,
    key_places,
    plan_places,
    proof_places,
    time_places,
    usage_places,
    visitor_places,
)

PORTAL = [
    *visitor_places.PORTAL,
    *buying_places.PORTAL,
    *account_places.PORTAL,
    *admin_places.PORTAL,
    *credit_places.PORTAL,
    *key_places.PORTAL,
    *plan_places.PORTAL,
    *proof_places.PORTAL,
    *time_places.PORTAL,
    *usage_places.PORTAL,
]
