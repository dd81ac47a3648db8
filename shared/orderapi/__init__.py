"""Gelato's order API and GelatoConnect's connector, behind one small interface. See docs/reference/order-api.md.

async with OrderApis(store, settings) as apis:
    answer = await apis.of(tenant).get("37365096-6628-4538-a9c2-fbf9892deb85")
    folded = to_fold(tenant.name, answer)   # for shared.store.intake.accept
"""

from shared.orderapi.answers import Answer, Folded, to_fold
from shared.orderapi.client import OrderApi, OrderApis
from shared.orderapi.errors import Broken, NotConfigured, OutcomeUnknown, RateLimited, TimedOut, Unreachable
from shared.orderapi.paging import PAGE, Page, pages

__all__ = [
    "PAGE",
    "Answer",
    "Broken",
    "Folded",
    "NotConfigured",
    "OrderApi",
    "OrderApis",
    "OutcomeUnknown",
    "Page",
    "RateLimited",
    "TimedOut",
    "Unreachable",
    "pages",
    "to_fold",
]
