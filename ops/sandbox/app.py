"""The sandbox as one Starlette application: both APIs, and the routes that control it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ops.sandbox.api import Api
from ops.sandbox.control import Control
from ops.sandbox.gelato import Gelato
from ops.sandbox.options import Options
from ops.sandbox.posting import Mail
from ops.simulator.courier import Courier, http_clients


@asynccontextmanager
async def sandbox(options: Options) -> AsyncIterator[Starlette]:
    """The application, with its Gelato at work for as long as the block runs."""
    async with http_clients(options.concurrency) as clients:
        gelato = Gelato(options, Mail(Courier(clients, retry_seconds=options.retry_seconds)))
        api = Api(gelato)
        # By its name alone: a page in a browser must not reach it by a name of its own.
        local = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
        app = Starlette(routes=[*api.routes(), *Control(gelato, api).routes()], middleware=[local])
        async with asyncio.TaskGroup() as tasks:
            at_work = [tasks.create_task(gelato.run()), tasks.create_task(gelato.mail.run())]
            yield app
            for task in at_work:
                task.cancel()
