"""`gelato-rollup bench`: this service side by side with what a user would write first, and with the limits.

A benchmark starts real processes and a real Valkey of its own for every run, takes turns between the subjects so that
noise hits all of them, and checks its own result: a figure whose events are not all where they should be is no figure.
"""
