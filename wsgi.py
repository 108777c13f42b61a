"""The portal for a WSGI server: `gunicorn wsgi:app`. `flask` finds it by its name."""

from portal import create_app

app = create_app()
