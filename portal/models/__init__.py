"""The one SQLAlchemy layer: a file per noun. It imports no room, calls no Stripe, commits nothing."""

from portal.models.audit import AuditEntry, AuditSeal
from portal.models.base import Base
from portal.models.change import SubscriptionChange
from portal.models.credit import CreditEntry, CreditGrant, CreditPackage, TopUpRule
from portal.models.customer import Customer, StripeCustomer
from portal.models.device import KnownDevice
from portal.models.email_change import EmailChange
from portal.models.event import StripeEvent
from portal.models.invoice import Invoice, Voiding
from portal.models.key import ApiKey, OperatorKey
from portal.models.link import PaymentLink
from portal.models.mail import OutboxMail
from portal.models.open_call import OpenCall
from portal.models.payment import Payment, PaymentKind, Reversal, ReversalKind
from portal.models.plan import Plan, Price
from portal.models.portal_configuration import PortalConfiguration
from portal.models.purchase import Purchase
from portal.models.refund import RefundOrder
from portal.models.sign_in_link import SignInLink
from portal.models.subscription import Subscription, SyncTicket
from portal.models.suspension import Suspension
from portal.models.trial import TrialUse
from portal.models.unplaced import UnplacedPayment
from portal.models.usage import (
    BillingRun,
    Meter,
    MonthlyBill,
    MonthlyBillLine,
    UsageAgreement,
    UsageDay,
    UsageEvent,
    UsageSettings,
)
from portal.models.user import MailToken, RecoveryCode, RefreshToken, User, UserSession

__all__ = [
    "ApiKey",
    "AuditEntry",
    "AuditSeal",
    "Base",
    "BillingRun",
    "CreditEntry",
    "CreditGrant",
    "CreditPackage",
    "Customer",
    "EmailChange",
    "Invoice",
    "KnownDevice",
    "MailToken",
    "Meter",
    "MonthlyBill",
    "MonthlyBillLine",
    "OpenCall",
    "OperatorKey",
    "OutboxMail",
    "Payment",
    "PaymentKind",
    "PaymentLink",
    "Plan",
    "PortalConfiguration",
    "Price",
    "Purchase",
    "RecoveryCode",
    "RefreshToken",
    "RefundOrder",
    "Reversal",
    "ReversalKind",
    "SignInLink",
    "StripeCustomer",
    "StripeEvent",
    "Subscription",
    "SubscriptionChange",
    "Suspension",
    "SyncTicket",
    "TopUpRule",
    "TrialUse",
    "UnplacedPayment",
    "UsageAgreement",
    "UsageDay",
    "UsageEvent",
    "UsageSettings",
    "User",
    "UserSession",
    "Voiding",
]
