"""The simulator's own errors."""

from shared.errors import GelatoRollupError


class SimulatorError(GelatoRollupError):
    """The run cannot start or go on; the message says what, where and what to do. Never holds a secret."""
