"""One visit of the console: who is signed in, what they asked for, and the guard that every page stands behind.

The guard checks the session, refuses forms that are not our own, answers every failure with a page, and puts the headers
on that keep a page to itself: no script but ours, no resource from outside, no framing, no caching.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from receiver.console import origin
from receiver.console.rendering import beside, render
from receiver.console.sessions import LASTS_SECONDS, Session, Sessions
from receiver.http import CutOff, TooLarge, read_body
from receiver.service import Service
from receiver.spool import SpoolUnavailable
from shared import log
from shared.errors import StoreUnavailable
from shared.settings import DEFAULT_TENANT
from shared.store import sign_outs
from shared.store.calls import Operation

logger = log.get("receiver.console")

COOKIE: Final = "gelato-console"
HOME: Final = "/console"
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: browsers then send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_MAX_FORM_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 200
_PATIENCE_SECONDS: Final = 2.0


class Problem(Exception):
    """A visit that ends with a page about what is wrong."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail


class Visit:
    """A request of the console. `session` is None only on pages that anybody may see."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.service: Service = request.app.state.service
        self.query: Mapping[str, str] = request.query_params
        self.form: dict[str, str] = {}
        self.session: Session | None = None
        self.form_token = ""

    @property
    def sessions(self) -> Sessions:
        """Sessions under the ops token in force."""
        token = self.service.access.tenants.ops_token
        if token is None:
            raise Problem(503, "No operators' token", "Set GELATO_OPS_TOKEN: it signs operators in.")
        return Sessions(token)

    @property
    def chosen_tenant(self) -> str | None:
        """The tenant for links; None where there is only one."""
        return self.tenant if len(self.tenants) > 1 else None

    @property
    def operator(self) -> str:
        """The name that whoever is signed in gave; empty: none."""
        return self.session.operator if self.session else ""

    @property
    def who(self) -> str:
        """Who does something, as the audit log has it."""
        return f"console:{self.operator}" if self.operator else "console"

    @property
    def tenants(self) -> list[str]:
        """All tenants' names."""
        return sorted(self.service.access.tenants.by_name)

    @property
    def tenant(self) -> str:
        """The tenant that this page is about."""
        name = self.form.get("tenant") or self.query.get("tenant") or DEFAULT_TENANT
        return name if self.service.access.knows(name) else DEFAULT_TENANT

    def check_tenant(self) -> None:
        """Raises `Problem` where a tenant is asked for that there is not."""
        name = self.form.get("tenant") or self.query.get("tenant")
        if name and not self.service.access.knows(name):
            raise Problem(404, "No such tenant", "Tenants are named in GELATO_TENANTS_FILE.")

    async def ask(self, operation: Operation[Any]) -> Any:
        """Ask Redis, unless it is known to be away. Raises `StoreUnavailable`, soon."""
        if self.service.door.breaker.is_open:
            operation.close()
            raise StoreUnavailable("Redis is away")
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self.service.store.run(operation)
        except TimeoutError:
            raise StoreUnavailable(f"Redis: no answer within {_PATIENCE_SECONDS:g} s") from None

    async def page(self, template: str, status: int = 200, **content: Any) -> Response:
        """Draw a page."""
        return Response(await beside(render, template, self, content), status, media_type="text/html")

    async def identify(self) -> None:
        """Find out who is signed in."""
        session = self.sessions.read(self.request.cookies.get(COOKIE, ""))
        if session is None:
            return
        try:
            if await self.ask(sign_outs.is_signed_out(session.id)):
                return
        except StoreUnavailable:
            pass  # the signature holds; an operator must see the console just now
        self.session = session
        self.form_token = self.sessions.form_token(session)

    async def read_form(self) -> None:
        """Read the fields of a form. Raises `Problem` where it is too large or none."""
        if (
            self.request.headers.get("content-type", "").partition(";")[0].strip()
            != "application/x-www-form-urlencoded"
        ):
            raise Problem(415, "Not a form", "The console's own forms are expected here.")
        try:
            body = await read_body(self.request.scope, self.request.receive, _MAX_FORM_BYTES)
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
        except TooLarge:
            raise Problem(413, "Too large", "This form is larger than any of the console's own.") from None
        except (CutOff, ValueError):
            raise Problem(400, "Not a form", "The form could not be read.") from None
        self.form = dict(fields)

    def set_cookie(self, response: Response, cookie: str) -> None:
        """Keep a session (empty: end it) in the browser, out of reach of scripts and of other sites."""
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=LASTS_SECONDS if cookie else 0,
            path=HOME,
            secure=origin.is_encrypted(self.request, self.service.settings.trusted_proxies),
            httponly=True,
            samesite="strict",
        )


Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(handler: Handler, *, signed_in: bool = True) -> Endpoint:
    """The endpoint of a page: for those who are signed in, unless anybody may see it."""

    async def endpoint(request: Request) -> Response:
        visit = Visit(request)
        try:
            response = await _answer(visit, handler, signed_in)
        except Problem as problem:
            response = await _failure(visit, problem.status, problem.title, problem.detail)
        except StoreUnavailable as error:
            request.scope["said"].update(result="unavailable", error=str(error))
            response = await visit.page("away.html", 503, error=str(error), spool=await spooled(visit.service))
        except Exception as error:
            logger.error("console", result="failed", exc_info=error)
            detail = "The receiver's log says more. Nothing was changed unless a page said so."
            response = await _failure(visit, 500, "This page failed", detail)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return endpoint


async def _failure(visit: Visit, status: int, title: str, detail: str) -> Response:
    template = "problem.html" if visit.session else "problem_alone.html"
    return await visit.page(template, status, title=title, detail=detail, code=status)


async def _answer(visit: Visit, handler: Handler, signed_in: bool) -> Response:
    request = visit.request
    posted = request.method == "POST"
    if posted:
        if not origin.is_our_own(request):
            raise Problem(403, "Refused", "This form was not sent from a page of this console.")
        await visit.read_form()
    await visit.identify()
    if signed_in and visit.session is None:
        return _to_sign_in(visit)
    if posted and signed_in:
        given = visit.form.pop("form-token", "")
        if not hmac.compare_digest(given.encode(), visit.form_token.encode()):
            raise Problem(
                403, "Refused", "This form belongs to another session. Open its page again, and send it anew."
            )
    visit.check_tenant()
    return await handler(visit)


def _to_sign_in(visit: Visit) -> Response:
    request = visit.request
    wanted = HOME if request.method == "POST" else request.url.path
    if request.method != "POST" and request.url.query:
        wanted += f"?{request.url.query}"
    if request.method != "POST" and origin.is_from_elsewhere(request):
        # The cookie is there, and was left out as the link came from elsewhere: our own page asks again, and gets it.
        return Response(render("again.html", visit, {"wanted": wanted}), media_type="text/html")
    if request.headers.get("accept", "").startswith("text/event-stream"):
        raise Problem(401, "Signed out", "Sign in again.")
    return RedirectResponse(f"{HOME}/sign-in?next={quote(wanted, safe='')}", 303)


class Spooled(NamedTuple):
    """The spool, as pages tell of it; `error` where it cannot be used."""

    there: bool
    events: int = 0
    bytes: int = 0
    error: str | None = None


async def spooled(service: Service) -> Spooled:
    """What waits in the spool."""
    spool = service.door.spool
    if spool is None:
        return Spooled(False)
    try:
        totals = await spool.totals()
    except SpoolUnavailable as error:
        return Spooled(True, error=str(error))
    return Spooled(True, totals.events, totals.bytes)
