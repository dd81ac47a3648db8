"""The benchmarks' own errors."""

from shared.errors import ConfigurationError, GelatoRollupError


class BenchError(GelatoRollupError):
    """A benchmark could not be carried out: a process died, or did not do its work in time."""


class Missing(ConfigurationError):
    """Something that a benchmark needs is not on this machine."""
