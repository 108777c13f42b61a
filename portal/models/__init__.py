"""The SQLAlchemy models, one file per noun. They import no room, make no Stripe calls and never commit."""

from portal.models.audit import AuditEntry, AuditSeal
from portal.models.base import Base
from portal.models.credit import CreditEntry, CreditGrant, CreditPackage, TopUpRule
from portal.models.customer import Customer, StripeCustomer
from portal.models.email_change import EmailChange
from portal.models.figures import DailyFigure, MovementKind, MrrMovement
from portal.models.fraud_warning import FraudWarning
from portal.models.given_plan import GivenPlan
from portal.models.invoice import Invoice, InvoiceStatus, Voiding
from portal.models.key import ApiKey, OperatorKey
from portal.models.known_device import KnownDevice
from portal.models.mail import OutboxMail
from portal.models.open_call import OpenCall
from portal.models.operator_alert import OperatorAlert
from portal.models.order import Order, OrderState
from portal.models.order_invoice import OrderInvoice
from portal.models.payment import (
    PaidState,
    Payment,
    PaymentKind,
    PaymentStatus,
    Reversal,
    ReversalKind,
    ReversalState,
)
from portal.models.payment_link import PaymentLink
from portal.models.plan import Plan, Price
from portal.models.plan_period import IncludedUnits, PeriodCredits, PlanPeriod
from portal.models.portal_configuration import PortalConfiguration
from portal.models.price_change import PriceChange
from portal.models.refund_request import RefundRequest
from portal.models.sign_in_link import SignInLink
from portal.models.stripe_event import EventState, StripeEvent
from portal.models.subscription import Subscription, SubscriptionStatus, SyncTicket
from portal.models.subscription_change import SubscriptionChange
from portal.models.subscription_part import SubscriptionPart
from portal.models.suspension import Suspension
from portal.models.trial_use import TrialUse
from portal.models.unplaced_payment import UnplacedPayment
from portal.models.usage import (
    BillingRun,
    BillState,
    Meter,
    MonthlyBill,
    MonthlyBillLine,
    UsageAgreement,
    UsageDay,
    UsageEvent,
    UsageSettings,
)
from portal.models.usage_correction import UsageCorrection
from portal.models.user import MailToken, RecoveryCode, RefreshToken, User, UserSession

__all__ = [
    "ApiKey",
    "AuditEntry",
    "AuditSeal",
    "Base",
    "BillState",
    "BillingRun",
    "CreditEntry",
    "CreditGrant",
    "CreditPackage",
    "Customer",
    "DailyFigure",
    "EmailChange",
    "EventState",
    "FraudWarning",
    "GivenPlan",
    "IncludedUnits",
    "Invoice",
    "InvoiceStatus",
    "KnownDevice",
    "MailToken",
    "Meter",
    "MonthlyBill",
    "MonthlyBillLine",
    "MovementKind",
    "MrrMovement",
    "OpenCall",
    "OperatorAlert",
    "OperatorKey",
    "Order",
    "OrderInvoice",
    "OrderState",
    "OutboxMail",
    "PaidState",
    "Payment",
    "PaymentKind",
    "PaymentLink",
    "PaymentStatus",
    "PeriodCredits",
    "Plan",
    "PlanPeriod",
    "PortalConfiguration",
    "Price",
    "PriceChange",
    "RecoveryCode",
    "RefreshToken",
    "RefundRequest",
    "Reversal",
    "ReversalKind",
    "ReversalState",
    "SignInLink",
    "StripeCustomer",
    "StripeEvent",
    "Subscription",
    "SubscriptionChange",
    "SubscriptionPart",
    "SubscriptionStatus",
    "Suspension",
    "SyncTicket",
    "TopUpRule",
    "TrialUse",
    "UnplacedPayment",
    "UsageAgreement",
    "UsageCorrection",
    "UsageDay",
    "UsageEvent",
    "UsageSettings",
    "User",
    "UserSession",
    "Voiding",
]
