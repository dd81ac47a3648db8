"""Plays Gelato: makes orders with whole lifecycles, sends their webhooks, and checks every rollup."""

from ops.simulator.compare import Difference
from ops.simulator.errors import SimulatorError
from ops.simulator.orders import SimulatedOrder, make_orders
from ops.simulator.report import Report
from ops.simulator.run import Options, simulate

__all__ = ["Difference", "Options", "Report", "SimulatedOrder", "SimulatorError", "make_orders", "simulate"]
