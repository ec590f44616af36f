"""SMSCode: one port, and an adapter for each description of the API."""
