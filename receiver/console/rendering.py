"""Drawing pages from their templates. Everything is escaped, always; a name that a template does not know is an error."""

import asyncio
import functools
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from receiver.console import looks, texts

if TYPE_CHECKING:
    from receiver.console.visit import Visit

T = TypeVar("T")

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}


class _Asset(NamedTuple):
    content: bytes
    digest: str


#: Pages are drawn two at a time: what is left of the processor belongs to webhooks.
_DRAWERS: Final = ThreadPoolExecutor(2, "console")


async def beside(function: Callable[..., T], *arguments: Any) -> T:
    """Call what takes a while beside the event loop: webhooks are not to wait for it."""
    return await asyncio.get_running_loop().run_in_executor(_DRAWERS, function, *arguments)


def render(template: str, visit: "Visit", content: dict[str, Any]) -> str:
    """One page."""
    return _environment().get_template(template).render(visit=visit, now=time.time(), **content)


async def static(request: Request) -> Response:
    """`GET /console/static/{digest}/{name}`: a style sheet, script or picture of ours; its address changes with it."""
    name = request.path_params["name"]
    if name not in _assets():
        raise HTTPException(404)
    content_type = _TYPES[name.rpartition(".")[2]]
    return Response(_assets()[name].content, headers=_FOR_EVER, media_type=content_type)


@functools.cache
def _assets() -> dict[str, _Asset]:
    assets = {}
    for file in resources.files("receiver.console").joinpath("static").iterdir():
        content = file.read_bytes()
        assets[file.name] = _Asset(content, hashlib.blake2b(content, digest_size=8).hexdigest())
    return assets


def _asset_url(name: str) -> str:
    return f"/console/static/{_assets()[name].digest}/{name}"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("receiver.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        visible=texts.visible,
        short=texts.short,
        moment=texts.moment,
        exactly=texts.exactly,
        span=texts.span,
        rate=texts.rate,
        number=texts.count,
        size=texts.size,
        spoken=texts.spoken,
        plain_json=texts.highlighted,
        told=texts.told,
        iso=texts.iso,
        marked=texts.marked,
        setting=texts.value,
        clock=texts.clock,
    )
    environment.globals.update(
        link=texts.link, outside=texts.outside, plural=texts.plural, looks=looks, asset=_asset_url
    )
    return environment
