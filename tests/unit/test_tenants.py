"""The tenants file: what an order API needs, and errors that name the place and never a key."""

from pathlib import Path

import pytest

from shared import tenants
from shared.errors import ConfigurationError
from shared.orderapi import NotConfigured
from shared.orderapi.upstreams import upstream_of
from shared.secret import Secret
from shared.settings import Settings

CONNECTOR = 'submit_url = "https://c/s"\nget_url = "https://c/g"\nsearch_url = "https://c/x"\n'


def load(tmp_path: Path, text: str, **settings: object) -> tenants.Tenants:
    path = tmp_path / "tenants.toml"
    path.write_text(text)
    return tenants.load(Settings(tenants_file=path, **settings))  # type: ignore[arg-type]


def test_a_connector_and_an_order_api(tmp_path: Path) -> None:
    text = f'[a]\ncustomer_reference = "c-1"\n[a.api]\nkey = "k:s"\n{CONNECTOR}[b.api]\nkey = "k"\n[c]\n'
    known = load(tmp_path, text).by_name
    connector = upstream_of(known["a"])
    assert (connector.submit_url, connector.url_of("x y"), connector.search_url) == (
        "https://c/s",
        "https://c/g/x%20y",
        "https://c/x",
    )
    assert connector.headers() == {"X-API-KEY": "k:s", "Customer-Reference-ID": "c-1"}
    gelato = upstream_of(known["b"])
    assert gelato.submit_url == "https://order.gelatoapis.com/v4/orders"
    assert gelato.url_of("1") == "https://order.gelatoapis.com/v4/orders/1"
    assert gelato.search_url == "https://order.gelatoapis.com/v4/orders:search"
    assert gelato.headers() == {"X-API-KEY": "k"}
    with pytest.raises(NotConfigured, match=r"\[c\.api\] key"):
        upstream_of(known["c"])


def test_the_default_tenants_key_may_stand_in_the_environment() -> None:
    default = tenants.load(Settings(api_key=Secret("k"), api_url="http://127.0.0.1:9/")).by_name["default"]
    assert upstream_of(default).submit_url == "http://127.0.0.1:9/v4/orders"


@pytest.mark.parametrize(
    ("table", "where", "said"),
    [
        ('url = "http://example.com"', "api.url", "GELATO_API_PLAIN_HTTP"),
        ('url = "ftp://example.com"', "api.url", "https://"),
        ('url = "https://"', "api.url", "https://"),
        ('url = "https://a b"', "api.url", "https://"),
        ('url = "https://[x"', "api.url", "no URL"),
        ('url = "https://h:x"', "api.url", "no URL"),
        ('url = "https://hidden-key@h"', "api.url", "no user"),
        ('url = "https://h#hidden-key"', "api.url", "no user"),
        ('submit_url = "https://h"', "api", "all three"),
        (CONNECTOR + 'url = "https://h"', "api", "all three"),
        ('key = "hidden-key\\n"', "api.key", "printable ASCII"),
        ('key = "hidden-key ü"', "api.key", "printable ASCII"),
        ('keys = "hidden-key"', "api.keys", "no such setting"),
        ("key = 5", "api", "texts"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_shown(tmp_path: Path, table: str, where: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, f"[acme.api]\n{table}\n")
    assert f"[acme] {where}" in str(caught.value)
    assert said in str(caught.value)
    assert "hidden-key" not in str(caught.value)


def test_a_customer_reference_is_sent_in_a_header(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="customer_reference"):
        load(tmp_path, '[acme]\ncustomer_reference = "a\\nX-Other: b"\n')


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:1/x"])
def test_http_is_for_this_machine(tmp_path: Path, url: str) -> None:
    load(tmp_path, f'[acme.api]\nurl = "{url}"\n')


def test_or_where_it_is_said_so(tmp_path: Path) -> None:
    load(tmp_path, '[acme.api]\nurl = "http://sandbox.internal"\n', api_plain_http=True)
