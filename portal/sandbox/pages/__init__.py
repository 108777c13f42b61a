"""The hosted pages: checkout, authentication, billing portal, invoices, payment links."""

from portal.sandbox.pages import authentication, checkout, dashboard, invoices, links, portal, portal_changes
from portal.sandbox.pages.base import pages

__all__ = ["authentication", "checkout", "dashboard", "invoices", "links", "pages", "portal", "portal_changes"]
