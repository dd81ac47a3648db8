"""Signing in with the ops token, and out again."""

import math

from starlette.responses import RedirectResponse, Response

from receiver.access import Role
from receiver.console import origin
from receiver.console.attempts import Attempts
from receiver.console.texts import plural
from receiver.console.visit import HOME, Visit, logger
from shared.errors import StoreUnavailable
from shared.store import sign_outs

_MAX_NAME = 64


class SignIn:
    """The door of the console."""

    def __init__(self) -> None:
        self._attempts = Attempts()

    async def form(self, visit: Visit) -> Response:
        """`GET /console/sign-in`."""
        if visit.session is not None:
            return RedirectResponse(_inside(visit.query.get("next")), 303)
        return await _page(visit, visit.query.get("next"))

    async def sign_in(self, visit: Visit) -> Response:
        """`POST /console/sign-in`: the token, compared in constant time. An address that guesses has to wait."""
        address = origin.client_address(visit.request, visit.service.settings.trusted_proxies)
        wanted = visit.form.get("next")
        if wait := await self._attempts.take(visit, address):
            logger.warning("sign-in", result="too-many", address=address)
            problem = f"Too many wrong tokens from your address. Try again in {plural(math.ceil(wait), 'second')}."
            response = await _page(visit, wanted, problem, 429)
            response.headers["retry-after"] = str(math.ceil(wait))
            return response
        holder = visit.service.access.holder_of(visit.form.get("token", "").strip().encode())
        if holder is None or holder.role is not Role.OPS:
            logger.warning("sign-in", result="refused", address=address)
            known = holder is not None
            problem = (
                "That token reads orders; the console needs the ops token." if known else "That is not the ops token."
            )
            return await _page(visit, wanted, problem, 403 if known else 401)
        await self._attempts.give_back(visit, address)
        operator = " ".join(visit.form.get("operator", "").split())[:_MAX_NAME]
        session, cookie = visit.sessions.begin(operator)
        logger.info("sign-in", result="done", address=address, session=session.id[:8])
        response = RedirectResponse(_inside(wanted), 303)
        visit.set_cookie(response, cookie)
        return response


async def sign_out(visit: Visit) -> Response:
    """`POST /console/sign-out`: the session ends everywhere, not in this browser alone."""
    if visit.session is not None:
        try:
            await visit.ask(sign_outs.sign_out(visit.session.id, visit.session.left_ms()))
        except StoreUnavailable as error:
            logger.error("a session could only be ended in its browser", error=str(error))
    response = RedirectResponse(f"{HOME}/sign-in", 303)
    visit.set_cookie(response, "")
    return response


async def _page(visit: Visit, wanted: str | None, problem: str | None = None, status: int = 200) -> Response:
    operator = visit.form.get("operator", "")[:_MAX_NAME]
    return await visit.page("sign_in.html", status, next=_inside(wanted), problem=problem, operator=operator)


def _inside(wanted: str | None) -> str:
    """Where to go after signing in: a page of the console, and of no other site."""
    if wanted is None or not wanted.isprintable() or "\\" in wanted:
        return HOME
    path = wanted.partition("?")[0]
    return wanted if path == HOME or path.startswith(f"{HOME}/") else HOME
