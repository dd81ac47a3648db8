"""The console's routes."""

from starlette.responses import Response
from starlette.routing import Route

from receiver.console import letters, live, order, orders, overview, replays, settings, sign_in
from receiver.console.rendering import static
from receiver.console.visit import HOME, Handler, Problem, Visit, guarded


def routes() -> list[Route]:
    """Everything below `/console`."""
    door = sign_in.SignIn()
    return [
        _page("", overview.Overview().show),
        _page("/orders", orders.listed),
        _page("/order", order.show),
        _form("/order/reconcile", order.reconcile),
        _page("/letters", letters.listed),
        _page("/letters/group", letters.group),
        _page("/letter", letters.one),
        _page("/letters/replay", replays.confirm_replay),
        _form("/letters/replay", replays.start_replay),
        _page("/letters/discard", replays.confirm_discard),
        _form("/letters/discard", replays.discard),
        _page("/replay", replays.show),
        _form("/replay", replays.change),
        _page("/history", replays.history),
        _page("/settings", settings.show),
        _page("/live", live.stream),
        Route(f"{HOME}/sign-in", guarded(door.form, signed_in=False)),
        Route(f"{HOME}/sign-in", guarded(door.sign_in, signed_in=False), methods=["POST"]),
        _form("/sign-out", sign_in.sign_out),
        Route(f"{HOME}/static/{{digest}}/{{name}}", static),
        Route(f"{HOME}/{{rest:path}}", guarded(_unknown), methods=["GET", "POST"]),
    ]


def _page(path: str, handler: Handler) -> Route:
    return Route(HOME + path, guarded(handler))


def _form(path: str, handler: Handler) -> Route:
    return Route(HOME + path, guarded(handler), methods=["POST"])


async def _unknown(visit: Visit) -> Response:
    raise Problem(404, "No such page", "The console has an overview, orders, dead letters and settings.")
