"""Run the receiver under uvicorn."""

import signal
import socket

import uvicorn

from receiver import instance
from receiver.app import create_app
from receiver.direct import DirectProtocol
from receiver.processes import Processes
from shared import tenants
from shared.errors import ConfigurationError
from shared.settings import Settings

#: In-flight requests get this long after a SIGTERM.
STOP_SECONDS = 8


def run(settings: Settings, *, processes: int = 1) -> None:
    """Serve until SIGTERM or SIGINT. Raises `ConfigurationError` without secrets, or when the port is taken."""
    check(settings)
    options = {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": DirectProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "date_header": True,
        "proxy_headers": False,
        "h11_max_incomplete_event_size": 65536,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": STOP_SECONDS,
        "backlog": 2048,
    }
    check_port(settings)
    # Uvicorn passes a signal on when it is done; without a listener it would end a clean stop as a death.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if processes == 1:
        uvicorn.Server(uvicorn.Config(create_app(settings), **options)).run()  # type: ignore[arg-type]
    else:
        config = uvicorn.Config(create_app, factory=True, workers=processes, **options)  # type: ignore[arg-type]
        with instance.directory():
            Processes(settings, config, [config.bind_socket()]).run()


def check(settings: Settings) -> None:
    """Refuse to start without secrets: there is no unauthenticated mode."""
    known = tenants.load(settings)
    missing = []
    if not any(tenant.secrets for tenant in known):
        missing.append("GELATO_WEBHOOK_SECRET (the value of the header that Gelato sends)")
    if known.ops_token is None:
        missing.append("GELATO_OPS_TOKEN (the operators' bearer token)")
    if missing:
        raise ConfigurationError(
            f"not set: {'; '.join(missing)}. Set it in the environment, for example to the output of "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`; `gelato-rollup up` makes its own."
        )


def check_port(settings: Settings) -> None:
    """A clear word about a taken port, before anything is started."""
    try:
        addresses = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigurationError(f"HOST: {settings.host!r} is no address of this machine: {error.strerror}") from None
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; set HOST or PORT to another"
            ) from None
