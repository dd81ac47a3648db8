"""Whom the service talks to: order APIs, senders of webhooks, tenants good and bad, the sandbox and the simulator."""
