"""A stand-in for Stripe: the part of its v1 API that a payment service uses, over real HTTP.

It is a program of its own (`python -m sandbox`) with a ledger of its own, and shares no code
with the service it is used to test.
"""
