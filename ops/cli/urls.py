"""Whether the URLs of the servers can be used, asked before anything is started with them."""

from shared import kick
from shared.settings import Settings
from shared.store import Store


def check_urls(settings: Settings) -> None:
    """Raise `ConfigurationError` for a URL that cannot be used."""
    Store.from_url(settings.where()).close()
    kick.check(settings)
