"""The page of 50 rows as a Django site has it: its middleware, sessions in the database, its ORM and templates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings

from bench import requests
from bench.contestant import Contestant

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Billing</title><link rel="stylesheet" href="/static/portal.css"></head><body>
<p>Signed in as {{ request.user.email }}</p>
<form method="post" action="/logout">{% csrf_token %}<button>Sign out</button></form>
<table><tr><th>Number</th><th>Date</th><th>State</th><th>Amount</th><th></th></tr>
{% for row in rows %}<tr><td>{{ row.number }}</td><td>{{ row.created_at|date:"j F Y" }}</td>
<td>{{ row.status }}</td><td>${{ row.total|floatformat:2 }}</td>
<td><a href="{{ row.url }}">View</a> <a href="{{ row.url }}/pdf">PDF</a></td></tr>
{% endfor %}</table></body></html>"""

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


def page(url: str, folder: Path) -> Contestant:
    """Signed in, 50 invoices."""
    (folder / "page.html").write_text(PAGE)
    settings.configure(
        SECRET_KEY="only-for-the-bench-0123456789abcdef",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        MIDDLEWARE=MIDDLEWARE,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": _database(url)},
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [folder],
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
            }
        ],
    )
    django.setup()
    cookie = _furnish()
    from django.core.wsgi import get_wsgi_application

    return Contestant(get_wsgi_application(), lambda number: requests.page("/billing", Cookie=cookie))


def _database(url: str) -> dict[str, object]:
    if url.startswith("sqlite"):
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": url.removeprefix("sqlite:///"),
            "CONN_MAX_AGE": None,
        }
    parts = urlsplit(url)
    query = dict(part.split("=", 1) for part in parts.query.split("&") if part)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or unquote(query.get("host", "")),
        "PORT": parts.port or "",
        "CONN_MAX_AGE": None,
    }


def _furnish() -> str:
    """The tables, Alice and her invoices; gives her cookie."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    invoice = _model()
    with connection.schema_editor() as editor:
        editor.create_model(invoice)
    user, now = User.objects.create_user("alice", "alice@example.com"), datetime.now(UTC)
    for n in range(50):
        invoice.objects.create(
            user_id=user.pk, number=f"BENCH-{n:04}", status="Paid", total=4999 + n,
            url="https://invoice.stripe.com/i/bench", created_at=now - timedelta(days=n),
        )  # fmt: skip
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return f"sessionid={store.session_key}"


def _model() -> type:
    from django.db import models

    class Invoice(models.Model):
        user_id = models.BigIntegerField(db_index=True)
        number = models.CharField(max_length=100)
        status = models.CharField(max_length=20)
        total = models.IntegerField()
        url = models.TextField()
        created_at = models.DateTimeField()

        class Meta:
            app_label = "bench"

    def billing(request):
        from django.shortcuts import redirect, render

        if not request.user.is_authenticated:
            return redirect("/login")
        rows = Invoice.objects.filter(user_id=request.user.pk).order_by("-created_at")[:50]
        return render(request, "page.html", {"rows": rows})

    from django.urls import path

    urlpatterns.append(path("billing", billing))
    return Invoice


urlpatterns: list[object] = []
