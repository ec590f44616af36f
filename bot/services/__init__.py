"""Use cases, one function each: they know the domain, the storage and the SMSCode port, and no Telegram type."""
