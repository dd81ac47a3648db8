"""The command line: `gelato-rollup`. One file per group of commands."""

from ops.cli.main import main

__all__ = ["main"]
