"""Every error this project raises on purpose has this one root, so that a caller can tell ours from a bug."""


class GelatoRollupError(Exception):
    """Root of all errors raised on purpose. The message says what, where and what to do."""


class ConfigurationError(GelatoRollupError):
    """The settings or the tenants file cannot be used; the message names the setting and the remedy."""


class StoreUnavailable(GelatoRollupError):
    """Redis could not be reached, or refused. Nothing that was asked may be taken as stored."""


class InvalidJson(GelatoRollupError):
    """A body is not JSON (RFC 8259, UTF-8, at most 254 levels deep). The message never quotes the body."""


class UnusableEvent(GelatoRollupError):
    """JSON, but no event that can be folded.

    `reason` is the dead letter's reason (`invalid-event`, `unknown-event`), `detail` names the field.
    `reference` is the orderReferenceId where the event has a usable one.
    """

    def __init__(self, reason: str, detail: str, reference: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.reference = reference


class OrderLimit(GelatoRollupError):
    """Folding this event would make its order larger than the bounds allow; it becomes an `order-limit` letter."""


class OrderApiError(GelatoRollupError):
    """Gelato's order API gave no answer that can be used. `shared.orderapi.errors` has one class per thing to do."""
