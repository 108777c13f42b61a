"""Settings of the two lanes to Stripe."""

from portal.settings import values
from portal.settings.fields import (
    STRIPE_API,
    api_base,
    pages,
    setting,
)
from portal.settings.server import Server


class Stripe(Server):
    """The settings for Stripe."""

    stripe_secret_key: values.LiveLaneKey | None = setting(
        (
            "The secret key of the live lane; a restricted key works too. Without any Stripe key the sandbox "
            "replaces Stripe."
        ),
        None,
        "a secret key of Stripe (sk_ or rk_)",
        "sk_test_51Nx",
        secret=True,
        in_production="sk_live_51Nx",
    )
    stripe_publishable_key: values.PublishableKey | None = setting(
        "Read and checked; nothing uses it yet.",
        None,
        "a publishable key of Stripe (pk_)",
        "pk_live_51Nx",
        "NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY",
        secret=True,
    )
    stripe_webhook_secret: values.WebhookSecrets = setting(
        "The signing secret of the live lane's webhook endpoint.",
        (),
        "a webhook endpoint's signing secret (whsec_), or several with commas between them",
        "whsec_5WbX",
        secret=True,
    )
    stripe_test_secret_key: values.TestLaneKey | None = setting(
        "The secret key of the test lane, in which admins test billing.",
        None,
        "a test-mode secret key of Stripe (sk_test_ or rk_test_)",
        "sk_test_51Nx",
        secret=True,
    )
    stripe_test_publishable_key: values.TestPublishableKey | None = setting(
        "Read and checked; nothing uses it yet.",
        None,
        "a test-mode publishable key of Stripe (pk_test_)",
        "pk_test_51Nx",
        "NEXT_PUBLIC_STRIPE_TEST_PUBLISHABLE_KEY",
        secret=True,
    )
    stripe_test_webhook_secret: values.WebhookSecrets = setting(
        "The signing secret of the test lane's webhook endpoint.",
        (),
        "a webhook endpoint's signing secret (whsec_), or several with commas between them",
        "whsec_9QcT",
        secret=True,
    )
    stripe_test_product_id: values.ProductId | None = setting(
        "The product that test prices are created under. Not set: one for each plan.",
        None,
        "the id of a Stripe product",
        "prod_TestPlans1",
    )
    stripe_api_base: values.Url = setting(
        ("The URL of Stripe's API, or of a compatible server. Not set: `https://api.stripe.com`, or the sandbox."),
        api_base,
        "the http(s) address of a Stripe-compatible API",
        "http://127.0.0.1:12111",
        in_production=STRIPE_API,
    )
    stripe_ca_bundle: values.File | None = setting(
        "Certificates that sign those of `STRIPE_API_BASE`. Not set: the public ones.",
        None,
        "the path of a PEM file with the certificates that sign STRIPE_API_BASE's",
        "./ca.pem",
    )
    checkout_origins: values.ListedOrigins = setting(
        (
            "The origins of Stripe's hosted pages, for the content security policy. Add a custom checkout domain "
            "here. Not set: Stripe's own, or the sandbox's."
        ),
        pages,
        "origins with commas between them",
        "https://checkout.stripe.com,https://billing.stripe.com",
    )
    allow_unverified_stripe: bool = setting(
        "`1` accepts webhooks without a signature if no secret is set. Refused in production.",
        False,
        "0 or 1",
        "0",
        "OSCILLINK_ALLOW_UNVERIFIED_STRIPE",
    )
