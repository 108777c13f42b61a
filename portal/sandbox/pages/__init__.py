"""The hosted pages: checkout, authentication, billing portal, invoices, payment links."""

from portal.sandbox.pages import authentication, checkout, invoices, links, portal, portal_changes
from portal.sandbox.pages.base import pages

__all__ = ["authentication", "checkout", "invoices", "links", "pages", "portal", "portal_changes"]
