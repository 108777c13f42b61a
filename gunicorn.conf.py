"""Gunicorn's settings, for `flask start` and for production alike.

Threads, because a request may wait for Stripe. One worker unless REDIS_URL lets several share their rate
limits: two workers' own memories would let twice the limit through.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `gunicorn wsgi:app` reads this file before it looks here itself

from portal.settings import BadSettings, instance, load

try:
    settings = load()
except BadSettings as faults:
    sys.exit(str(faults))

# Each process measures into files of its own, and /metrics adds them up.
instance.measure(settings, "web")

host = f"[{settings.host}]" if ":" in settings.host else settings.host

bind = f"{host}:{settings.port}"
worker_class = "gthread"
workers = settings.web_processes
threads = settings.web_threads
preload_app = True
timeout = 60  # seconds; longer than the slowest call to Stripe with its retries
graceful_timeout = 30
keepalive = 5
control_socket_disable = True
forwarded_allow_ips = "127.0.0.1"
accesslog = None  # the portal logs what matters; query strings hold session ids
loglevel = "warning"


def when_ready(_server):
    """Say once that the portal listens, what nobody can buy, and which price settings name nothing."""
    from portal.catalogue import plans
    from portal.doctor import commands as doctor
    from wsgi import app

    print(f"\n  Portal is on {settings.base_url}\n", flush=True)
    with app.app_context():
        plans.log_what_is_not_on_sale()
        plans.log_unknown_prices()
        if line := doctor.warning_line():
            print(f"  {line}\n", flush=True)


def post_fork(_server, _worker):
    """Each worker gets connections and a ticker of its own: neither survives a fork."""
    from portal import jobs
    from wsgi import app

    jobs.after_fork(app)
