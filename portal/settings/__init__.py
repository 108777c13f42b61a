"""The settings: one frozen `Settings`, read once by `load`, which refuses invalid values by name.

`values` has the formats; `server`, `stripe` and `model` the settings; `prices` those named after entries of the
catalogue; `production` what production refuses; `reading` the order of the sources.
"""

from typing import cast

from portal.settings.flask_names import flask_config
from portal.settings.model import Settings
from portal.settings.reading import BadSettings, load

__all__ = ["BadSettings", "Settings", "current_settings", "flask_config", "load"]


def current_settings() -> Settings:
    """Return the settings of the app that this request or command belongs to."""
    from flask import current_app  # here, so that reading only the settings stays fast

    return cast(Settings, current_app.extensions["settings"])
