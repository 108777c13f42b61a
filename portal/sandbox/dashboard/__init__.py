"""The start page and a plain dashboard, without sign-in."""
