"""Every metric, declared once: its name, type, labels, scope, and what it means.

`docs/reference/metrics.md` is made from this.

No label holds a tenant, an order or anything else that a sender chooses: each has a few values, all written down here or
in the code that counts.
"""

from enum import Enum
from typing import Final, NamedTuple

from shared.counting import Bounds

#: Seconds from a request's arrival to its 2xx. Gelato's patience is the right end, a good server's answer the left.
ACKNOWLEDGEMENT_BOUNDS: Final[Bounds] = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
#: Seconds from an event's receipt to its document: milliseconds as a rule, hours after an outage.
DOCUMENT_BOUNDS: Final[Bounds] = (
    0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip
REQUEST_BOUNDS: Final[Bounds] = (0.005, 0.02, 0.1, 0.5, 2.5)
BATCH_BOUNDS: Final[Bounds] = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Kind(Enum):
    """What Prometheus makes of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Scope(Enum):
    """Whose a value is, and so how the values of several scrape targets belong together."""

    #: Of one receiver instance, all its processes together: `sum` over instances.
    INSTANCE = "instance"
    #: Of the whole service, read from Redis, and the same at every instance: `max` over instances.
    SERVICE = "service"


class Metric(NamedTuple):
    """One metric. `bounds`: the upper bounds of a histogram's buckets."""

    name: str
    kind: Kind
    scope: Scope
    about: str
    labels: tuple[str, ...] = ()
    bounds: Bounds = ()


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_INSTANCE, _SERVICE = Scope.INSTANCE, Scope.SERVICE

_ALL: Final = (
    # What came in.
    Metric(
        "gelato_webhooks_total", _C, _INSTANCE,
        "Webhooks by `result` (accepted, spooled, duplicate, quarantined, invalid-json, ignored, test, unauthorized, "
        "too-large, cut-off, not-post, unavailable, failed) and `kind` of event (none where it is not known).",
        ("result", "kind"),
    ),
    Metric(
        "gelato_acknowledgement_seconds", _H, _INSTANCE,
        "From a webhook's arrival to its 2xx.", bounds=ACKNOWLEDGEMENT_BOUNDS,
    ),
    Metric(
        "gelato_snapshots_total", _C, _INSTANCE,
        "Snapshots, posted and fetched, by `result`, each order of a search by itself.", ("result",),
    ),
    Metric(
        "gelato_quarantined_total", _C, _INSTANCE,
        "Bodies and events that became dead letters on their way in, by `reason`.", ("reason",),
    ),
    Metric("gelato_test_notifications_total", _C, _INSTANCE, "Test notifications of Gelato's dashboard."),
    Metric(
        "gelato_id_collisions_total", _C, _INSTANCE,
        "Events whose id was known with other content: both are folded.",
    ),
    Metric(
        "gelato_http_requests_total", _C, _INSTANCE,
        "Other requests by `route` (a template, `unmatched` without one), `method` and `status`.",
        ("route", "method", "status"),
    ),
    Metric(
        "gelato_http_request_seconds", _H, _INSTANCE,
        "From such a request to the beginning of its answer.", ("route",), REQUEST_BOUNDS,
    ),
    # The receiver itself.
    Metric("gelato_receiver_processes", _G, _INSTANCE, "Receiver processes of this instance that are alive."),
    Metric("gelato_started_timestamp_seconds", _G, _INSTANCE, "Since when the oldest of them has been ready, Unix time."),
    Metric("gelato_redis_up", _G, _INSTANCE, "1 if Redis answers; where it does not, service-wide metrics are absent."),
    Metric("gelato_breaker_open", _G, _INSTANCE, "Processes that know Redis to be away and do not ask it."),
    Metric("gelato_event_streams", _G, _INSTANCE, "Clients that follow changes by server-sent events."),
    Metric("gelato_clock_skew_seconds", _G, _INSTANCE, "How far this machine's clock is ahead of Redis's."),
    Metric("gelato_spool_events", _G, _INSTANCE, "What waits in the local spool."),
    Metric("gelato_spool_bytes", _G, _INSTANCE, "Its size."),
    Metric("gelato_spool_max_bytes", _G, _INSTANCE, "The size at which it is full."),
    Metric("gelato_spool_oldest_seconds", _G, _INSTANCE, "How long its oldest entry has waited; 0 if it is empty."),
    Metric("gelato_disk_free_bytes", _G, _INSTANCE, "Room on the disk of the data directory."),
    Metric("gelato_disk_size_bytes", _G, _INSTANCE, "That disk's size."),
    Metric(
        "gelato_build_info", _G, _INSTANCE, "Always 1: the `version` in use, with `python`'s and the `server`'s.",
        ("version", "python", "server"),
    ),
    # What the workers did.
    Metric("gelato_events_folded_total", _C, _SERVICE, "Events folded."),
    Metric("gelato_orders_folded_total", _C, _SERVICE, "Orders claimed and folded, each perhaps with several events."),
    Metric("gelato_documents_changed_total", _C, _SERVICE, "Folds that changed a document."),
    Metric("gelato_shifts_total", _C, _SERVICE, "Shifts that ended."),
    Metric("gelato_fold_conflicts_total", _C, _SERVICE, "Commits that another worker was quicker with; folded again."),
    Metric("gelato_fold_failures_total", _C, _SERVICE, "Tries to fold an event, or an order, that raised; tried again."),
    Metric("gelato_events_parked_total", _C, _SERVICE, "Events that became dead letters after their last try."),
    Metric("gelato_leases_expired_total", _C, _SERVICE, "Orders whose worker had died, or hung."),
    Metric("gelato_fold_seconds", _H, _SERVICE, "A batch, from claim to release.", bounds=BATCH_BOUNDS),
    Metric(
        "gelato_time_to_document_seconds", _H, _SERVICE,
        "From an event's receipt to its document. Replayed and spooled events count from their first receipt.",
        bounds=DOCUMENT_BOUNDS,
    ),
    # The state of the service.
    Metric("gelato_last_event_timestamp_seconds", _G, _SERVICE, "When the last usable webhook came, Unix time."),
    Metric("gelato_workers", _G, _SERVICE, "Worker processes that are alive."),
    Metric("gelato_live_shifts", _G, _SERVICE, "Shifts that are alive."),
    Metric("gelato_pending_orders", _G, _SERVICE, "Orders due to be folded."),
    Metric("gelato_pending_later_orders", _G, _SERVICE, "Orders under a lease, or waiting for a retry."),
    Metric("gelato_pending_oldest_seconds", _G, _SERVICE, "How long the oldest of the due orders has been due."),
    Metric(
        "gelato_orders", _G, _SERVICE,
        "Orders by `state`: open; of those and others attention (somebody must act), incomplete (a connected order has "
        "not been heard of), disagrees; stuck (open, and silent for GELATO_STUCK_DAYS).", ("state",),
    ),
    Metric("gelato_dead_letters", _G, _SERVICE, "Dead letters, by `reason`.", ("reason",)),
    Metric(
        "gelato_dead_letters_dropped_total", _C, _SERVICE,
        "Dead letters that were not kept because there were GELATO_MAX_DEAD_LETTERS, by `reason`.", ("reason",),
    ),
    Metric(
        "gelato_reconciliation_total", _C, _SERVICE,
        "What reconciliation has done, by `what`: rounds, looked_at (orders compared with the order API), searches, gets, "
        "healed (orders that learnt what no webhook had said), missing (orders that the API does not know).", ("what",),
    ),
    Metric("gelato_changes_stream_entries", _G, _SERVICE, "Entries in the stream of changes."),
    # The server.
    Metric("gelato_redis_memory_used_bytes", _G, _SERVICE, "What the server uses (a cluster's fullest node)."),
    Metric("gelato_redis_memory_max_bytes", _G, _SERVICE, "What it may use; 0 is no limit."),
    Metric("gelato_redis_evicted_keys_total", _C, _SERVICE, "Keys that the server threw away for want of memory."),
    Metric("gelato_redis_noeviction", _G, _SERVICE, "1 if the server throws nothing away when it is full."),
    Metric("gelato_redis_persistent", _G, _SERVICE, "1 if it writes an append-only file, and its last write went well."),
    Metric("gelato_redis_fsync_always", _G, _SERVICE, "1 if that file is synced before each answer."),
    Metric("gelato_redis_replicas", _G, _SERVICE, "Connected replicas."),
)  # fmt: skip
METRICS: Final = {metric.name: metric for metric in _ALL}


def reference() -> str:
    """The reference of all metrics, as a Markdown table; `docs/reference/metrics.md` holds it."""
    lines = ["| metric | type | scope | meaning |", "|---|---|---|---|"]
    for metric in METRICS.values():
        name = f"`{metric.name}`" + (f"<br>`{{{', '.join(metric.labels)}}}`" if metric.labels else "")
        lines.append(f"| {name} | {metric.kind.value} | {metric.scope.value} | {metric.about} |")
    return "\n".join(lines)
