"""The portal's version, in its own module so that pages can show it without importing the application."""

__version__ = "0.1.0"
