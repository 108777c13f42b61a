"""Protection against pages of other sites: the sandbox has no sign-in, and any site that a browser shows may post
to localhost, or point a name of its own there (DNS rebinding).
"""

import ipaddress
import secrets
import urllib.parse

from flask import Response, current_app, request

LOCAL = (".localhost", ".stripe.com")  # a proxy may send on what a client sends to Stripe
TOKEN = secrets.token_urlsafe(16)  # in every form of the dashboard; another site cannot read it


def guard() -> Response | None:
    """Refuse a host name that may be another site's, and a browser's request from another site that changes
    something outside Stripe's API, which asks for a key.
    """
    if not is_local(urllib.parse.urlsplit(f"//{request.host}").hostname or ""):
        return refusal("This host name is not the sandbox's. SANDBOX_HOSTS can add it.")
    if request.method == "POST" and request.path.startswith(("/_config", "/dashboard")) and is_foreign():
        return refusal("The request came from a page of another site.")
    return None


def is_local(host: str) -> bool:
    """Return whether no other site can have this host name: an address, a name without a dot, *.localhost,
    Stripe's, or one of the configuration.
    """
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return "." not in host or host.endswith(LOCAL) or host in current_app.extensions["config"].hosts


def is_foreign() -> bool:
    """Return whether a browser says that a page of another site made this request."""
    sent = request.headers.get("Sec-Fetch-Site")
    if sent:
        return sent not in ("same-origin", "none")
    return request.headers.get("Origin", request.host_url.rstrip("/")) != request.host_url.rstrip("/")


def refusal(words: str) -> Response:
    """Return the response to a request that is refused."""
    return Response(words + "\n", 403, mimetype="text/plain")
