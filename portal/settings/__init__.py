"""The settings: one frozen `Settings`, read once by `load`, which refuses bad values by name.

`values` has the shapes, `model` the settings, `production` what production refuses, `reading` the order of
the sources.
"""

from typing import cast

from portal.settings.flask_names import flask_config
from portal.settings.model import Settings
from portal.settings.reading import BadSettings, load

__all__ = ["BadSettings", "Settings", "current_settings", "flask_config", "load"]


def current_settings() -> Settings:
    """The settings of the app that this request or command belongs to."""
    from flask import current_app  # here, so that reading settings alone stays quick

    return cast(Settings, current_app.extensions["settings"])
