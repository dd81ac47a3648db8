"""Dead letters over HTTP, for operators: groups, pages, one; discard; replays, which workers carry; the audit log."""

import asyncio
import base64
import binascii
import dataclasses
import re
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.routing import Route

from receiver.access import Role
from receiver.http import CutOff, Json, TooLarge, read_body
from receiver.routes import Refused, holder_of, query_flag, query_number, service_of
from shared import letters, log
from shared.clock import parse_time
from shared.settings import DEFAULT_TENANT
from shared.store import audit, dead_letters, letter_lists, replay_runs
from shared.store.dead_letters import REASONS, Letter
from shared.store.letter_lists import Position, Selection
from shared.store.replay_runs import DONE, RUNNING, Run
from shared.tenants import NAME

logger = log.get("receiver.dead_letters")

#: A small replay is done within this time and answered as done; a larger one goes on behind the answer.
_WAIT_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.02
_MAX_BODY: Final = 64 * 1024
_MAX_TEXT: Final = 500
_ID: Final = re.compile(r"[0-9a-f]{32}")
_GROUP: Final = re.compile(r"[0-9a-f]{16}")
_PLACE: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
#: `orderReferenceId`, as a letter has it, is another name of `order`.
_FILTERS: Final = frozenset({"tenant", "reason", "detail", "order", "orderReferenceId", "group", "since", "until"})


async def listed(request: Request) -> Json:
    """`GET /dead-letters`: a page, newest first; with `groups=true` the groups, those seen last first."""
    operator_of(request)
    store = service_of(request).store
    query = {name: value for name, value in request.query_params.items() if name in _FILTERS}
    grouped = query_flag(request, "groups")
    if query.get("group") == "true":
        grouped = query.pop("group") == "true"
    selection = selection_of(query)
    if grouped and selection.order is not None:
        raise _invalid("order", "the letters of an order are listed, not their groups")
    selected = await store.run(letter_lists.selected(selection))
    result: dict[str, Any] = {
        **letters.described_number("total", selected),
        "dropped": await store.run(dead_letters.dropped()),
    }
    if grouped:
        limit = query_number(request, "limit", 100, 2_000)
        groups = await store.run(letter_lists.groups(selection, limit))
        return Json({"groups": [letters.described_group(each) for each in groups], **result})
    limit = query_number(request, "limit", 50, 500)
    after = _read_cursor(request.query_params.get("cursor"))
    page = await store.run(letter_lists.page(selection, after, limit))
    return Json(
        {
            "deadLetters": [letters.described(each) for each in page.letters],
            "cursor": None if page.after is None else _cursor(page.after),
            **result,
        }
    )


async def letter(request: Request) -> Json:
    """`GET|DELETE /dead-letters/{id}`: one route, so that 405 names both methods."""
    return await (discard if request.method == "DELETE" else one)(request)


async def one(request: Request) -> Json:
    """`GET /dead-letters/{id}`."""
    operator_of(request)
    return Json(letters.described(await _letter(request)))


async def discard(request: Request) -> Json:
    """`DELETE /dead-letters/{id}`, with a `reason` in the query or in a JSON body. An event that was parked stays so."""
    who = operator_of(request)
    letter = await _letter(request)
    asked = await _asked(request, {"reason"})
    why = _text(asked, "reason")
    store = service_of(request).store
    what = {"deadLetter": letter.id, "tenant": letter.tenant, "letterReason": letter.reason, "reason": why}
    await store.run(audit.note(who, "discard", what))
    (gone,) = await store.run(dead_letters.remove([letter.id]))
    logger.info("dead letter discarded", who=who, **what)
    await store.run(audit.note(who, "discarded", what, {"discarded": int(gone is not None)}))
    return Json({"result": "discarded", "deadLetter": letter.id})


async def replay_one(request: Request) -> Json:
    """`POST /dead-letters/{id}/replay`: 200 with what became of it, 202 where it is on its way still."""
    who = operator_of(request)
    letter = await _letter(request)
    run = await _replayed(request, who, Selection(), 1, [letter.id])
    result = next((name for name, number in run.counts.items() if number), "waiting")
    if run.state == RUNNING:
        result = "waiting"
    content: dict[str, Any] = {"deadLetter": letter.id, "result": result, "replay": run.id}
    (left,) = await service_of(request).store.run(dead_letters.several([letter.id], whole=False))
    if left is not None:
        content |= {"reason": left.reason, "detail": left.detail, "attempts": left.attempts}
    return Json(content, 202 if result == "waiting" else 200)


async def replay_many(request: Request) -> Json:
    """`POST /dead-letters/replay`, with filters in the query or in a JSON body: all that are selected, however many.

    200 where all is done, 202 where workers carry on behind the answer: `GET /dead-letters/replays/{id}` tells how far.
    """
    who = operator_of(request)
    asked = await _asked(request, _FILTERS | {"dryRun"})
    dry = asked.pop("dryRun", False)
    if dry not in (True, False, "true", "false", "1", "0"):
        raise _invalid("dryRun", "must be true or false")
    selection = selection_of(asked)
    selected = await service_of(request).store.run(letter_lists.selected(selection))
    if dry in (True, "true", "1"):
        return Json({**letters.described_number("selected", selected), "dryRun": True})
    run = await _replayed(request, who, selection, selected.number)
    return Json(letters.described_run(run), 202 if run.state == RUNNING else 200)


async def replays(request: Request) -> Json:
    """`GET /dead-letters/replays`: the latest first."""
    operator_of(request)
    runs = await service_of(request).store.run(replay_runs.latest(query_number(request, "limit", 50, 500)))
    return Json({"replays": [letters.described_run(each) for each in runs]})


async def replay(request: Request) -> Json:
    """`GET /dead-letters/replays/{id}`."""
    operator_of(request)
    return Json(letters.described_run(await _run(request)))


async def stop(request: Request) -> Json:
    """`POST /dead-letters/replays/{id}/stop`: it stops behind the letters that are on their way."""
    return await _change(request, "stop")


async def resume(request: Request) -> Json:
    """`POST /dead-letters/replays/{id}/resume`: it goes on where it was stopped."""
    return await _change(request, "resume")


async def deeds(request: Request) -> Json:
    """`GET /dead-letters/audit`: who did what, newest first."""
    operator_of(request)
    limit = query_number(request, "limit", 50, 500)
    cursor = request.query_params.get("cursor")
    if cursor is not None and not _is_place(cursor):
        raise _invalid("cursor", "not one of ours")
    found = await service_of(request).store.run(audit.latest(limit, cursor))
    after = found[-1].id if len(found) == limit else None
    return Json({"deeds": [letters.described_deed(each) for each in found], "cursor": after})


def operator_of(request: Request) -> str:
    """Who asks, as the audit log has it. Refuses with 401 without a known token, with 403 any but the operators'."""
    holder = holder_of(request)
    if holder.role is not Role.OPS:
        raise Refused(403, {"error": "forbidden"})
    return f"http:{holder.role.value}"


def selection_of(asked: dict[str, Any]) -> Selection:
    """The selection of a query or of a JSON body. Refuses with 400 what cannot be one."""
    texts = {name: _text(asked, name) for name in ("tenant", "reason", "detail", "order", "group")}
    texts["order"] = texts["order"] or _text(asked, "orderReferenceId")
    if texts["tenant"] is not None and not NAME.fullmatch(texts["tenant"]):
        raise _invalid("tenant", "must be a tenant's name")
    if texts["reason"] is not None and texts["reason"] not in REASONS:
        raise _invalid("reason", f"must be one of {', '.join(REASONS)}")
    if texts["group"] is not None and not _GROUP.fullmatch(texts["group"]):
        raise _invalid("group", "must be a group's id, or true")
    if texts["order"] is not None and texts["tenant"] is None:
        texts["tenant"] = DEFAULT_TENANT
    return Selection(**texts, since=_moment(asked, "since"), until=_moment(asked, "until"))


def _is_place(text: str) -> bool:
    """Whether a text is the id of a stream's entry: two numbers of 64 bits, not both zero. The server refuses any other."""
    if not _PLACE.fullmatch(text):
        return False
    numbers = [int(number) for number in text.split("-")]
    return any(numbers) and max(numbers) < 1 << 64


async def _change(request: Request, name: str) -> Json:
    who = operator_of(request)
    run = await _run(request)
    store = service_of(request).store
    change = replay_runs.stop(run.id) if name == "stop" else replay_runs.resume(run.id)
    if await store.run(change):
        await store.run(audit.note(who, f"{name} replay", {"replay": run.id}))
    return Json(letters.described_run(await _run(request)))


async def _replayed(
    request: Request, who: str, selection: Selection, selected: int, ids: list[str] | None = None
) -> Run:
    """Ask for a replay, and wait a little for its end."""
    store = service_of(request).store
    run = await store.run(letters.ask_for_replay(who, selection, selected, ids or []))
    logger.info("replay asked for", who=who, replay=run.id, selected=selected)
    if not selected and await store.run(replay_runs.finish(run.id)):
        return dataclasses.replace(run, state=DONE)
    deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
    while run.state == RUNNING and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        now = await store.run(replay_runs.one(run.id))
        if now is None:
            break
        run = now
    return run


async def _letter(request: Request) -> Letter:
    letter_id = request.path_params["id"]
    letter = await service_of(request).store.run(dead_letters.one(letter_id)) if _ID.fullmatch(letter_id) else None
    if letter is None:
        raise Refused(404, {"error": "unknown-dead-letter"})
    request.scope["said"]["dead_letter"] = letter.id
    return letter


async def _run(request: Request) -> Run:
    run_id = request.path_params["id"]
    run = await service_of(request).store.run(replay_runs.one(run_id)) if _ID.fullmatch(run_id) else None
    if run is None:
        raise Refused(404, {"error": "unknown-replay"})
    return run


async def _asked(request: Request, known: frozenset[str] | set[str]) -> dict[str, Any]:
    """What a query and a JSON body ask for together. Refuses what is not known: a mistyped filter would select too much."""
    try:
        body = await read_body(request.scope, request.receive, _MAX_BODY)
    except TooLarge:
        raise Refused(413, {"error": "too-large", "limit": _MAX_BODY}, {"connection": "close"}) from None
    except CutOff:
        raise Refused(408, {"error": "cut-off"}, {"connection": "close"}) from None
    content: Any = {}
    if body.strip():
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Refused(400, {"error": "invalid-json", "detail": "body: must be JSON"}) from None
    if not isinstance(content, dict):
        raise _invalid("body", "must be a JSON object")
    asked = {name: value for name, value in content.items() if value is not None}
    for name, value in request.query_params.items():
        if name in asked:  # which of them is meant?
            raise _invalid(name[:64], "given twice, in the query and in the body")
        asked[name] = value
    for name in asked:
        if name not in known:
            raise _invalid(name[:64], f"unknown; known are {', '.join(sorted(known))}")
    return asked


def _text(asked: dict[str, Any], name: str) -> str | None:
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise _invalid(name, f"must be a text of 1 to {_MAX_TEXT} characters")
    return value


def _moment(asked: dict[str, Any], name: str) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    moment = parse_time(value.replace(" ", "+")) if isinstance(value, str) else None
    if moment is None:
        raise _invalid(name, "must be ISO 8601")
    return moment


def _cursor(position: Position) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([*position])).decode().rstrip("=")


def _read_cursor(text: str | None) -> Position | None:
    if text is None:
        return None
    try:
        received_ms, letter_id = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if type(received_ms) is not int or not isinstance(letter_id, str) or not _ID.fullmatch(letter_id):
            raise TypeError
    except (ValueError, TypeError, binascii.Error):
        raise _invalid("cursor", "not one of ours") from None
    return Position(received_ms, letter_id)


def _invalid(name: str, problem: str) -> Refused:
    return Refused(400, {"error": "invalid-query", "detail": f"{name}: {problem}"})


ROUTES: Final = (
    Route("/dead-letters", listed),
    Route("/dead-letters/replay", replay_many, methods=["POST"]),
    Route("/dead-letters/replays", replays),
    Route("/dead-letters/replays/{id}", replay),
    Route("/dead-letters/replays/{id}/stop", stop, methods=["POST"]),
    Route("/dead-letters/replays/{id}/resume", resume, methods=["POST"]),
    Route("/dead-letters/audit", deeds),
    Route("/dead-letters/{id}", letter, methods=["GET", "DELETE"]),
    Route("/dead-letters/{id}/replay", replay_one, methods=["POST"]),
)
