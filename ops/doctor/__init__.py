"""Is everything well? One line per check, with the remedy for what is not.

A broken configuration is a finding of its own; everything else is looked at as far as the rest of it allows.
"""

from collections.abc import Callable, Iterator

from redis.exceptions import RedisClusterException, RedisError

from ops import readable
from ops.doctor import machine, reach, service
from receiver import server as receiver_server
from shared import kick, tenants
from shared.errors import ConfigurationError, GelatoRollupError
from shared.settings import DEFAULT_TENANT, Settings
from shared.store.durability import Finding, Level

#: So many tenants are named in one line.
_MOST_NAMED = 5

Check = Callable[[Settings], Iterator[Finding]]


def examine(public_url: str | None = None) -> list[tuple[str, Finding]]:
    """All checks: `(what was looked at, finding)`. With the webhooks' public URL, whether events get through to it."""
    settings, problem = readable.settings()
    findings: list[tuple[str, Finding]] = []
    if problem is not None:
        remedy = "see `gelato-rollup config`; what follows is without these settings"
        findings.append(("configuration", Finding(Level.ERROR, problem, remedy)))
    for name, check in _CHECKS:
        findings += [(name, finding) for finding in _findings(name, check, settings)]
    if public_url is not None:
        findings += [("webhooks", reach.reach(settings, public_url))]
    return findings


def _findings(name: str, check: Check, settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    try:
        for finding in check(settings):
            found.append(finding)  # noqa: PERF402  (what was found before an error stays found)
    except (GelatoRollupError, RedisError, RedisClusterException, OSError, ValueError) as error:
        found.append(Finding(Level.ERROR, str(error), _REMEDIES.get(name, "")))
    return found


def _configuration(settings: Settings) -> Iterator[Finding]:
    try:
        receiver_server.check(settings)
        kick.check(settings)
    except ConfigurationError as error:
        yield Finding(Level.ERROR, str(error), "see `gelato-rollup config`")
    else:
        yield Finding(Level.OK, "secrets and tenants can be used")


def _reconciliation(settings: Settings) -> Iterator[Finding]:
    try:
        known = tenants.load(settings)
    except ConfigurationError:
        return  # said above
    alone = sorted(each.name for each in known if not each.api.urls and (each.secrets or each.name != DEFAULT_TENANT))
    if alone:
        more = f" and {len(alone) - _MOST_NAMED} more" if len(alone) > _MOST_NAMED else ""
        what = f"cannot heal the orders of {', '.join(alone[:_MOST_NAMED])}{more}: no order API is set"
        yield Finding(Level.WARNING, what, "set GELATO_API_KEY, or [TENANT.api] in the tenants file")
    else:
        yield Finding(Level.OK, "every tenant has an order API")


_CHECKS: list[tuple[str, Check]] = [
    ("configuration", _configuration),
    ("reconciliation", _reconciliation),
    ("server", service.server),
    ("work", service.work),
    ("dead letters", service.letters),
    ("queue", service.queue),
    ("spool", machine.spool),
    ("disk", machine.disk),
]
_REMEDIES = {
    "server": "start it, or set REDIS_URL; `gelato-rollup up` brings its own",
    "work": "the server must answer first",
    "dead letters": "the server must answer first",
    "queue": "start it, or set RQ_REDIS_URL; workers' sweeps fold meanwhile",
}
