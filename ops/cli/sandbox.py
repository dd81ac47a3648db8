"""`gelato-rollup sandbox`: a Gelato of one's own, on loopback."""

from pathlib import Path

import click

from ops.cli.common import command, out, settings_in_force
from ops.sandbox.client import connector_urls
from ops.sandbox.options import DAY_SECONDS, Options
from ops.sandbox.server import HOST, listen, serve
from ops.sandbox.tenants import customers_of, tenants_file
from shared import tenants
from shared.settings import Settings, receiver_url_file

_DEFAULT_PORT = 8765


@click.command()
@click.option("--port", default=_DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any.")
@click.option("--webhook-url", default=None, help="Where webhooks go. Default: the receiver that runs here.")
@click.option("--secret", default=None, help="The secret header's value, for tenants that have none in the settings.")
@click.option("--seed", default=1, show_default=True, help="The same seed and orders make the same stories.")
@click.option("--speed", default=14_400.0, show_default=True, help="Seconds of the story in a second.")
@click.option("--lose", default=0.0, show_default=True, help="Chance that a webhook is never posted.")
@click.option("--duplicate", default=0.1, show_default=True, help="Chance that it is posted twice.")
@click.option("--reorder", default=0.1, show_default=True, help="Chance that it is overtaken by later ones.")
@click.option("--trouble", default=0.15, show_default=True, help="Chance that an order goes wrong in some way.")
@click.option("--retry-seconds", default=5.0, show_default=True, help="The wait between the three tries.")
@click.option("--rate-limit", default=100.0, show_default=True, help="API calls a second and key; 0: no limit.")
@click.option("--leaky", is_flag=True, help="The connector answers for any customer's order, as a careless one would.")
@click.option("--short-submit", is_flag=True, help="The connector's Submit Order answers with id and reference alone.")
@click.option("--print-tenants", is_flag=True, help="Print a tenants file with two customers of this sandbox, and end.")
@command
def sandbox(
    port: int,
    webhook_url: str | None,
    secret: str | None,
    seed: int,
    speed: float,
    lose: float,
    duplicate: float,
    reorder: float,
    trouble: float,
    retry_seconds: float,
    rate_limit: float,
    leaky: bool,
    short_submit: bool,
    print_tenants: bool,
) -> None:
    """Play Gelato: order API v4, a customer-agnostic connector, and webhooks.

    Splits orders by product, lets them live at the speed that you choose, and posts their webhooks: twice, late, out of
    order, or never. Its customers are the tenants of GELATO_TENANTS_FILE; --print-tenants writes one to begin with.
    Listens on loopback alone, keeps everything in memory, and ends on Ctrl-C or SIGTERM.
    """
    if print_tenants:
        _say(tenants_file(f"http://{HOST}:{port}").rstrip())
        return
    settings = settings_in_force()
    options = Options(
        customers=customers_of(tenants.load(settings), webhook_url or _receiver(settings), secret),
        seed=seed,
        speed=speed,
        lose=lose,
        duplicate=duplicate,
        reorder=reorder,
        trouble=trouble,
        retry_seconds=retry_seconds,
        rate_limit=rate_limit,
        leaky=leaky,
        short_submit=short_submit,
    )
    with listen(port) as listener:
        base = f"http://{HOST}:{listener.getsockname()[1]}"
        serve(options, listener, lambda: _say_where(options, base, settings.tenants_file))


def _say_where(options: Options, base: str, path: Path | None) -> None:
    life = 0.8 * options.life_seconds / options.speed
    _say(f"Sandbox    {base}   (a page; /sandbox/truth, /sandbox/counts)")
    _say(f"Speed      a day in {DAY_SECONDS / options.speed:g} s; an order lives about {life:.0f} s")
    for customer in options.customers:
        where = (
            f"webhooks to {customer.target.url}" if customer.target else "no webhooks: it has no secret (see --secret)"
        )
        api = "order API v4" if customer.via == "v4" else f"connector, customer {customer.reference}"
        _say(f"Customer   {customer.tenant}: {api}; {where}")
    _say(f"v4         {base}/v4/orders")
    for name, url in connector_urls(base).items():
        _say(f"{name:<10} {url}")
    if path is None:
        _say("To give the service customers here, and their secrets to both, put this into a file that both read:")
        _say(f"  gelato-rollup sandbox --port {base.rpartition(':')[2]} --print-tenants > tenants.toml")
        _say("  export GELATO_TENANTS_FILE=tenants.toml")


def _receiver(settings: Settings) -> str:
    """The receiver of the `up` that runs here, else that of HOST and PORT."""
    try:
        return receiver_url_file(settings.data_dir).read_text().strip()
    except OSError:
        return settings.base_url()


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
