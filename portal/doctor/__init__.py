"""`flask doctor`: checks of the settings, this machine, the queues and the Stripe account, with remedies."""

from flask import Flask

from portal.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Register the page of the checks with the admin pages, whose guard it shares."""
    from portal.doctor import views
    from portal.extensions import csrf

    csrf.exempt(views.blueprint)  # the guard checks the token, after it has checked who asks
    app.register_blueprint(views.blueprint, url_prefix=settings.admin_path)
