"""The portal for a WSGI server: `gunicorn wsgi:app`. `flask` finds it by its name."""

import sys

from portal import create_app
from portal.settings import BadSettings

try:
    app = create_app()
except BadSettings as faults:
    sys.exit(str(faults))  # one line a fault; a traceback would only hide them
