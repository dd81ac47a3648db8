"""Why an order API gave no answer, one class per thing to do. No message quotes a key, a URL or a body."""

from shared.errors import OrderApiError


class NotConfigured(OrderApiError):
    """The tenant has no order API: set its key (and URLs)."""


class Unreachable(OrderApiError):
    """It could not be connected to: nothing was sent, so nothing happened. Ask again later."""


class TimedOut(OrderApiError):
    """A question was not answered in time, or not to its end. It changes nothing there: ask again later."""


class Broken(OrderApiError):
    """It answers, but not usefully: 5xx, a redirect, too large, not what it should be. `status` where there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class OutcomeUnknown(OrderApiError):
    """A submit was sent, and whether it was taken is not known. Never send it again blindly: search for it first.

    `status` is that of a 5xx answer; None where no answer came.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RateLimited(OrderApiError):
    """Too many requests; nothing was done. Ask again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
