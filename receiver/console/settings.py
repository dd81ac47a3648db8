"""The settings in force, secrets masked: what `gelato-rollup config` prints."""

from starlette.responses import Response

from receiver.console.visit import Visit
from shared import in_force


async def show(visit: Visit) -> Response:
    """`GET /console/settings`."""
    service = visit.service
    return await visit.page(
        "settings.html",
        shown=in_force.shown(service.settings),
        data_server=in_force.data_server(service.settings),
        all_tenants=sorted(service.access.tenants, key=lambda tenant: tenant.name),
    )
