"""Every setting, declared once: its name, type, default, and what it means. The reference is made from this.

Settings come from environment variables (README.md, *Configuration*). Secrets are wrapped, so that no log line, repr or
error can show one by accident.
"""

import dataclasses
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared import setting_kinds as kinds
from shared.errors import ConfigurationError
from shared.secret import Secret, SecretUrl
from shared.setting_kinds import Networks

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_TENANT: Final = "default"


def _setting(variable: str, default: Any, parse: Callable[[str], Any], about: str) -> Any:
    metadata = {"variable": variable, "parse": parse, "about": about}
    if isinstance(default, (list, dict)):
        raise TypeError("a default must not be shared")
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What is in force. `redis_url` None: nothing was said, so the embedded server is looked for first."""

    redis_url: SecretUrl | None = _setting(
        "REDIS_URL",
        None,
        kinds.url,
        "The server with the data. Unset: the embedded server of `up`, if it runs, "
        f"else {DEFAULT_REDIS_URL}. `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`.",
    )
    rq_redis_url: SecretUrl | None = _setting(
        "RQ_REDIS_URL", None, kinds.url, "The server for RQ's queue; not a cluster. Unset: the same as REDIS_URL."
    )
    host: str = _setting("HOST", "127.0.0.1", str, "The address that the receiver listens on.")
    port: int = _setting("PORT", 8000, kinds.port, "The port that the receiver listens on.")
    webhook_header: str = _setting(
        "GELATO_WEBHOOK_HEADER", "X-Webhook-Secret", str, "The header in which Gelato sends the secret."
    )
    webhook_secrets: tuple[Secret, ...] = _setting(
        "GELATO_WEBHOOK_SECRET",
        (),
        kinds.secrets,
        "The default tenant's secret; several, comma-separated, while it is rotated.",
    )
    read_token: Secret | None = _setting("GELATO_READ_TOKEN", None, kinds.secret, "Reads the default tenant's orders.")
    tenant_token: Secret | None = _setting(
        "GELATO_TENANT_TOKEN", None, kinds.secret, "Reads the default tenant's orders, submits, and posts snapshots."
    )
    ops_token: Secret | None = _setting("GELATO_OPS_TOKEN", None, kinds.secret, "May do everything.")
    metrics_token: Secret | None = _setting(
        "GELATO_METRICS_TOKEN", None, kinds.secret, "Asked for by `/metrics`, if set."
    )
    tenants_file: Path | None = _setting(
        "GELATO_TENANTS_FILE", None, Path, "TOML file of further tenants; read again on SIGHUP."
    )
    trusted_proxies: Networks = _setting(
        "GELATO_TRUSTED_PROXIES",
        kinds.networks("127.0.0.0/8, ::1"),
        kinds.networks,
        "Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` the console believes.",
    )
    data_dir: Path = _setting(
        "GELATO_DATA_DIR", Path("var"), Path, "Where `up` keeps the embedded database and generated secrets."
    )
    spool_persistent: bool = _setting(
        "GELATO_SPOOL_PERSISTENT",
        False,
        kinds.yes_or_no,
        "Says that GELATO_DATA_DIR outlives the process and the container: only then events are spooled there while "
        "Redis is away. `up` says so by itself.",
    )
    spool_max_events: int = _setting(
        "GELATO_SPOOL_MAX_EVENTS", 1_000_000, kinds.positive, "The spool is full beyond this."
    )
    spool_max_bytes: int = _setting("GELATO_SPOOL_MAX_BYTES", 1 << 30, kinds.positive, "The spool is full beyond this.")
    patience_seconds: float = _setting(
        "GELATO_PATIENCE_SECONDS",
        0.18,
        kinds.seconds,
        "Redis gets so long to take an event; then it goes to the spool (10 times as long where there is none).",
    )
    ack_replicas: int | None = _setting(
        "GELATO_ACK_REPLICAS",
        None,
        kinds.count,
        "So many replicas must have an event before its 2xx. Unset: one, if any is connected; behind Sentinel also when "
        "they are gone, until most Sentinels confirm the primary. (Not in a cluster.)",
    )
    ack_fsync: bool = _setting(
        "GELATO_ACK_FSYNC",
        False,
        kinds.yes_or_no,
        "The server must have synced an event to its disk before its 2xx (WAITAOF).",
    )
    retention_days: int = _setting(
        "GELATO_RETENTION_DAYS", 180, kinds.positive, "A terminal order goes this many days after its last event."
    )
    open_retention_days: int = _setting(
        "GELATO_OPEN_RETENTION_DAYS", 730, kinds.positive, "Any other order goes this many days after its last event."
    )
    stuck_days: int = _setting(
        "GELATO_STUCK_DAYS",
        7,
        kinds.positive,
        "An open order that nothing was heard of for so many days counts as stuck.",
    )
    max_body_bytes: int = _setting(
        "GELATO_MAX_BODY_BYTES", 1_048_576, kinds.positive, "A longer body is refused with 413."
    )
    requests_per_second: float = _setting(
        "GELATO_REQUESTS_PER_SECOND",
        2000.0,
        kinds.seconds,
        "Reads and submits of one tenant per second and receiver process, twice that at once; beyond it 429. "
        "The ops token has no quota.",
    )
    api_key: Secret | None = _setting(
        "GELATO_API_KEY",
        None,
        kinds.secret,
        "The default tenant's key of Gelato's order API; other tenants' stand in the file.",
    )
    api_url: str = _setting(
        "GELATO_API_URL", "https://order.gelatoapis.com", str, "Gelato's order API, where a tenant names no other."
    )
    api_plain_http: bool = _setting(
        "GELATO_API_PLAIN_HTTP",
        False,
        kinds.yes_or_no,
        "Lets order APIs be asked over http:// on other machines: the key and all addresses travel unencrypted.",
    )
    api_requests_per_second: float = _setting(
        "GELATO_API_REQUESTS_PER_SECOND",
        100.0,
        kinds.seconds,
        "The most requests per second with one key, of all processes together. Reconciliation gets half of them at most.",
    )
    api_timeout_seconds: float = _setting(
        "GELATO_API_TIMEOUT_SECONDS", 20.0, kinds.seconds, "The order API gets so long to answer one request."
    )
    api_concurrency: int = _setting(
        "GELATO_API_CONCURRENCY",
        32,
        kinds.positive,
        "Requests of one tenant that may be on their way to the order API at once, per receiver process; beyond it 429.",
    )
    reconcile_minutes: float = _setting(
        "GELATO_RECONCILE_MINUTES",
        15.0,
        kinds.minutes,
        "So often the order API is asked about orders in doubt; 0: only when somebody asks for it.",
    )
    reconcile_after: str = _setting(
        "GELATO_RECONCILE_AFTER",
        "",
        kinds.silences,
        "How long an order may be silent, where it is not as usual: `shipped=3d, created=2h` "
        "(docs/explanation/reconciliation.md).",
    )
    api_settle_seconds: float = _setting(
        "GELATO_API_SETTLE_SECONDS",
        30.0,
        kinds.seconds,
        "After a submit without an answer, a repeat with its Idempotency-Key searches for the order; not sooner than this.",
    )
    max_streams: int = _setting(
        "GELATO_MAX_STREAMS",
        1_000,
        kinds.positive,
        "So many clients may follow changes (server-sent events) of one receiver process; beyond it 503.",
    )
    max_streams_per_tenant: int = _setting(
        "GELATO_MAX_STREAMS_PER_TENANT", 200, kinds.positive, "So many of them may be of one tenant."
    )
    max_dead_letters: int = _setting(
        "GELATO_MAX_DEAD_LETTERS",
        1_000_000,
        kinds.positive,
        "Beyond this, new dead letters are counted and logged, not kept.",
    )
    fold_tries: int = _setting(
        "GELATO_FOLD_TRIES", 5, kinds.positive, "So often an event is tried before it becomes a dead letter."
    )
    fold_backoff_seconds: float = _setting(
        "GELATO_FOLD_BACKOFF_SECONDS",
        1.0,
        kinds.seconds,
        "The wait after the first failed try; three times as long each next.",
    )
    lease_seconds: float = _setting(
        "GELATO_LEASE_SECONDS",
        15.0,
        kinds.lease,
        "How long a worker may hold an order; if it dies, the order waits so long.",
    )
    log_level: str = _setting(
        "LOG_LEVEL", "info", kinds.choice("debug", "info", "warning", "error"), "The least level that is logged."
    )
    log_format: str | None = _setting(
        "LOG_FORMAT",
        None,
        kinds.choice("json", "console"),
        "`json` or `console`. Unset: `console` on a terminal, else `json`.",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings. An empty variable counts as unset. Raises `ConfigurationError`, naming all that is wrong."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        problems: list[str] = []
        for each in dataclasses.fields(cls):
            text = environment.get(each.metadata["variable"], "")
            if text == "":
                continue
            try:
                values[each.name] = each.metadata["parse"](text)
            except ValueError as error:
                # The text itself may be a secret that was set under the wrong name.
                problems.append(f"{each.metadata['variable']}: {_plainly(error)}")
        if problems:
            raise ConfigurationError("; ".join(problems))
        return cls(**values)

    def base_url(self) -> str:
        """The receiver's URL, as this machine reaches it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def where(self) -> str:
        """The URL of the data server in force, with the embedded server found by the data directory."""
        if self.redis_url is not None:
            return self.redis_url.reveal()
        return embedded_url(self.data_dir) or DEFAULT_REDIS_URL

    def where_rq(self) -> str:
        """The URL of RQ's server in force."""
        return self.rq_redis_url.reveal() if self.rq_redis_url is not None else self.where()


def url_file(data_dir: Path) -> Path:
    """Where a running `up` writes the URL of its embedded server, for the other commands to find."""
    return data_dir / "redis-url"


def receiver_url_file(data_dir: Path) -> Path:
    """Where a running `up` writes the URL of its receiver."""
    return data_dir / "receiver-url"


def embedded_url(data_dir: Path) -> str | None:
    """The URL of the embedded server that runs on this data directory; None if there is none."""
    try:
        url = url_file(data_dir).read_text().strip()
        with socket.socket(socket.AF_UNIX) as probe:  # a killed `up` leaves the file behind
            probe.settimeout(1.0)
            probe.connect(url.removeprefix("unix://").partition("?")[0])
    except OSError:
        return None
    return url


def _plainly(error: ValueError) -> str:
    text = str(error)
    return "must be a number" if "invalid literal" in text or "could not convert" in text else text
