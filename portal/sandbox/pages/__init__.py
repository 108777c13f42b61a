"""The hosted pages: checkout, authentication, billing portal, invoices."""

from portal.sandbox.pages import checkout
from portal.sandbox.pages.base import pages

__all__ = ["checkout", "pages"]
