"""The overview: whether all is well, and if not, what is to be done first."""

from starlette.responses import Response

from receiver.console import plots
from receiver.console.orders import Row, rows
from receiver.console.visit import Visit
from receiver.console.vitals import Gatherer, received
from shared.errors import StoreUnavailable
from shared.store import activity, orders, search
from shared.store.search import Flag

_FEW = 6


class Overview:
    """`GET /console`."""

    def __init__(self) -> None:
        self._gatherer = Gatherer()

    async def show(self, visit: Visit) -> Response:
        """Draw it; while Redis is away, with what is known without it."""
        vitals = await self._gatherer.vitals(visit)
        drawn = {}
        attention: list[Row] = []
        latest: list[Row] = []
        if vitals.numbers is not None:
            points = vitals.numbers.points
            at = [point.at for point in points]
            step = activity.HOUR.step
            drawn = {
                "received": plots.plot(at, [received(point) / step for point in points]),
                "acknowledged": plots.plot(at, [point.acknowledgement_p99 for point in points]),
                "document": plots.plot(at, [point.to_document_p99 for point in points]),
                "buried": plots.plot(at, [point.buried for point in points]),
            }
            try:
                attention = await rows(visit, search.flagged(visit.tenant, Flag.ATTENTION, None, _FEW))
                latest = await rows(visit, orders.newest(visit.tenant, None, _FEW))
            except StoreUnavailable:
                pass  # it went away between the two questions; the next drawing says so
        return await visit.page("overview.html", vitals=vitals, plots=drawn, attention=attention, latest=latest)
