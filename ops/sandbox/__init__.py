"""Plays Gelato on loopback: both order APIs, whole lives of orders, webhooks with everything that goes wrong with them.

In a test:

    target = Target(f"{receiver}/webhooks/gelato/acme", "X-Webhook-Secret", "the secret")
    acme = Customer("acme", "connector", key="key:secret", reference="C-1", target=target)
    with running(Options((acme,), seed=7, speed=86_400, lose=0.3, retry_seconds=0.1)) as sandbox:
        ...  # tenants file: key, customer_reference, and sandbox.connector_urls (or url = sandbox.v4_url)
        sandbox.make_orders(500)
        eventually(sandbox.ended)
        for truth in sandbox.truths():
            assert compare_state(truth, document_of(truth["tenant"], truth["orderReferenceId"])) == []

As a process: `gelato-rollup sandbox`, and `SandboxClient(url)`.
"""

from ops.sandbox.client import SandboxClient
from ops.sandbox.options import Customer, Options
from ops.sandbox.server import running
from ops.simulator.compare import compare_state
from ops.simulator.courier import Target

__all__ = ["Customer", "Options", "SandboxClient", "Target", "compare_state", "running"]
