"""Gunicorn's settings, for `flask start` and for production alike.

Threads, because a request may wait for Stripe. One worker unless REDIS_URL lets several share their rate
limits: two workers' own memories would let twice the limit through.
"""

import os

shared = bool(os.environ.get("REDIS_URL"))

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = 2 if shared else 1
threads = 8 if shared else 16
preload_app = True
timeout = 60  # seconds; longer than the slowest call to Stripe with its retries
graceful_timeout = 30
keepalive = 5
control_socket_disable = True
forwarded_allow_ips = "127.0.0.1"
accesslog = None  # the portal logs what matters; query strings hold session ids
loglevel = "warning"


def post_fork(_server, _worker):
    """Each worker gets connections and a ticker of its own: neither survives a fork."""
    from portal import jobs
    from wsgi import app

    jobs.after_fork(app)
