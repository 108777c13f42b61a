"""Subscription schedules: consecutive phases, such as a cheaper plan from the next renewal on.

https://docs.stripe.com/billing/subscriptions/subscription-schedules
"""
