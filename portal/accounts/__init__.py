"""Accounts: sign-up, sign-in and sign-out, passwords, mailed links, and the account page."""

from flask import Flask

from portal import jobs, mail
from portal.accounts import mail_contents, mail_jobs, views
from portal.accounts.email_change import views as email_change_views
from portal.accounts.ownership import views as ownership_views
from portal.accounts.personal_data import deletion
from portal.accounts.personal_data import views as personal_data_views
from portal.accounts.security import views as security_views
from portal.accounts.security.rate_limits import init_before_csrf
from portal.accounts.sign_in import api as sign_in_api
from portal.accounts.sign_in import (
    devices,
    sessions,
    sign_in_link_api,
    sign_in_link_views,
    sign_in_links,
    token_pairs,
)
from portal.accounts.sign_in import views as sign_in_views
from portal.api import calls

__all__ = ["init_app", "init_before_csrf"]


def init_app(app: Flask) -> None:
    """Register the room. `init_before_csrf` is called earlier, before the CSRF check."""
    sessions.init_app(app)
    devices.init_app(app)
    jobs.tasks |= {
        "mails": mail.send_due,
        "mail contents": mail_contents.remove_old,
        "refresh tokens": token_pairs.sweep,
        "sessions": sessions.sweep,
        "devices": devices.sweep,
        "sign-in links": sign_in_links.sweep,
        "deletions": deletion.finish,
    }
    jobs.kinds[mail.KIND] = jobs.Kind(mail.send_one, mail_jobs.waiting, mail_jobs.make_due)
    for module in (
        sign_in_views,
        sign_in_link_views,
        views,
        personal_data_views,
        email_change_views,
        ownership_views,
        security_views,
    ):
        app.register_blueprint(module.blueprint)
    calls.register(app, sign_in_api.blueprint, sign_in_link_api.blueprint)
