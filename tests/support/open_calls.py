"""Calls that Stripe carries out and whose response is lost, and what the portal then knows."""

from typing import Any

from sqlalchemy import select

from portal.extensions import db
from portal.models import AuditEntry, OpenCall

CUT = {"method": "POST", "next": 2, "status": 200, "after": True}
ACTED = {"method": "POST", "next": 1, "status": 500, "acted": True}  # recorded: the SDK's second try gets it too
FAILED = {"method": "POST", "next": 1, "status": 500}


def state(model: Any) -> str:
    """Return the state of the newest row."""
    query = select(model.state).order_by(model.id.desc()).limit(1)
    found = db.session.execute(query).scalar_one()
    db.session.commit()
    return str(found)


def open_ones() -> list[OpenCall]:
    """List the calls whose outcome is unknown."""
    query = select(OpenCall).filter_by(settled_at=None).execution_options(populate_existing=True)
    found = list(db.session.execute(query).scalars())
    db.session.commit()
    return found


def audited() -> list[str]:
    """List the actions of the audit log, oldest first."""
    db.session.rollback()
    return list(db.session.execute(select(AuditEntry.action).order_by(AuditEntry.id)).scalars())
