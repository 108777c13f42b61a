"""The portal's version, in a module of its own so that pages can show it without importing the application."""

__version__ = "0.1.0"
