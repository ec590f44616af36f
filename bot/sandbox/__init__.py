"""Pretend counterparts on loopback: a Telegram with its chat page, an SMSCode, and the demo that plays on both.

Only the command line opens this package. The desk itself meets what is in here as it meets the real services, over
HTTP and at the address in its configuration.
"""
