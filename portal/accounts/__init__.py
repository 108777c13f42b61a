"""The accounts room: signing up, in and out, passwords, mailed links, and the account page."""

from flask import Flask

from portal import calls, jobs, mail
from portal.accounts import (
    account_views,
    api,
    data_views,
    deletion,
    devices,
    email_views,
    proof_views,
    security_views,
    sessions,
    sign_in_api,
    sign_in_links,
    sign_in_views,
    token_pairs,
    views,
)
from portal.accounts.limits import init_before_csrf
from portal.purchases import addresses

__all__ = ["init_app", "init_before_csrf"]


def init_app(app: Flask) -> None:
    """Register the room. `init_before_csrf` is called earlier, ahead of the CSRF check."""
    sessions.init_app(app)
    devices.init_app(app)
    jobs.chores |= {
        "mails": mail.send_due,
        "refresh tokens": token_pairs.sweep,
        "devices": devices.sweep,
        "sign-in links": sign_in_links.sweep,
        "addresses": addresses.tell,
        "deletions": deletion.finish,
    }
    for module in (views, account_views, data_views, email_views, proof_views, security_views, sign_in_views):
        app.register_blueprint(module.blueprint)
    calls.register(app, api.blueprint, sign_in_api.blueprint)
