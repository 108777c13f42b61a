"""The settings: one frozen `Settings`, read once by `load`, which refuses bad values by name.

`values` has the shapes, `model` the settings, `production` what production refuses, `reading` the order of
the sources.
"""

from portal.settings.flask_names import flask_config
from portal.settings.model import Settings
from portal.settings.reading import BadSettings, load

__all__ = ["BadSettings", "Settings", "flask_config", "load"]
