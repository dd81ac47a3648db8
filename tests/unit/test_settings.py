"""Settings: declared once, read once, and never shown when they are secret."""

import dataclasses
import socket
import tempfile
import traceback
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.secret import MASK, Secret, SecretUrl
from shared.settings import DEFAULT_REDIS_URL, Settings, embedded_url, url_file

#: What users may rely on.
PROMISED = {
    "REDIS_URL",
    "RQ_REDIS_URL",
    "HOST",
    "PORT",
    "GELATO_WEBHOOK_HEADER",
    "GELATO_WEBHOOK_SECRET",
    "GELATO_READ_TOKEN",
    "GELATO_TENANT_TOKEN",
    "GELATO_OPS_TOKEN",
    "GELATO_METRICS_TOKEN",
    "GELATO_TENANTS_FILE",
    "GELATO_DATA_DIR",
    "GELATO_RETENTION_DAYS",
    "GELATO_OPEN_RETENTION_DAYS",
    "GELATO_MAX_BODY_BYTES",
    "LOG_LEVEL",
    "LOG_FORMAT",
}


def test_every_variable_of_the_contract_is_a_setting_with_a_meaning() -> None:
    declared = {each.metadata["variable"]: each.metadata["about"] for each in dataclasses.fields(Settings)}
    assert declared.keys() >= PROMISED
    assert all(about.rstrip(")").endswith(".") for about in declared.values())


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.from_environment({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.webhook_header == "X-Webhook-Secret"
    assert (settings.retention_days, settings.open_retention_days) == (180, 730)
    assert settings.max_body_bytes == 1024 * 1024
    assert settings.data_dir == Path("var")
    assert settings == Settings()


def test_an_empty_variable_counts_as_unset() -> None:
    names = [each.metadata["variable"] for each in dataclasses.fields(Settings)]
    assert Settings.from_environment(dict.fromkeys(names, "")) == Settings()


def test_several_secrets_are_separated_by_commas() -> None:
    settings = Settings.from_environment({"GELATO_WEBHOOK_SECRET": " one, two ,,"})
    assert settings.webhook_secrets == (Secret("one"), Secret("two"))


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PORT", "abc"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "80.5"),
        ("GELATO_RETENTION_DAYS", "0"),
        ("GELATO_OPEN_RETENTION_DAYS", "-3"),
        ("GELATO_MAX_BODY_BYTES", "1 MiB"),
        ("GELATO_LEASE_SECONDS", "nan"),
        ("GELATO_LEASE_SECONDS", "inf"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_not_quoted(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{variable}: must be ") as refused:
        Settings.from_environment({variable: text, "GELATO_OPS_TOKEN": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_secret_under_the_wrong_name_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment({"PORT": "hunter2", "LOG_LEVEL": "hunter2"})
    assert "hunter2" not in "".join(traceback.format_exception(refused.value.with_traceback(None), chain=False))
    assert "PORT" in str(refused.value)
    assert "LOG_LEVEL" in str(refused.value)


def test_no_text_of_the_settings_shows_a_secret() -> None:
    settings = Settings.from_environment(
        {
            "GELATO_WEBHOOK_SECRET": "hunter2,hunter22",
            "GELATO_READ_TOKEN": "hunter2",
            "GELATO_OPS_TOKEN": "hunter2",
            "REDIS_URL": "redis://somebody:hunter2@host:1/0",
        }
    )
    assert "hunter2" not in f"{settings!r} {settings} {dataclasses.asdict(settings)}"
    assert settings.redis_url is not None
    assert settings.redis_url.reveal() == "redis://somebody:hunter2@host:1/0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:hunter2@host:1/0", f"redis://:{MASK}@host:1/0"),
        ("rediss://me:hunter2@host/3", f"rediss://me:{MASK}@host/3"),
        ("redis://me:hunt%40er2@host/3", f"redis://me:{MASK}@host/3"),
        ("redis+sentinel://me:hunter2@a:1,b:2/name/0", f"redis+sentinel://me:{MASK}@a:1,b:2/name/0"),
        ("redis+cluster://me:hunter2@a:1,b:2", f"redis+cluster://me:{MASK}@a:1,b:2"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert repr(SecretUrl(url)) == str(SecretUrl(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:hunter2/@host/0",
        "redis://me:hunter2#@host/0",
        "redis://me:hunter2?@host/0",
        "redis://me:hunter2@[::1/0",
        "redis://me:hunter2\u2100@host/0",
        "redis://host/0?password=hunter2",
        "redis://host/0?pass%77ord=hunter2",
        "hunter2",
    ],
)
def test_a_url_that_cannot_be_read_shows_no_password_either(url: str) -> None:
    assert "hunter2" not in repr(SecretUrl(url))


def test_the_data_server_is_the_one_named_else_the_embedded_one_else_the_default(tmp_path: Path) -> None:
    assert Settings.from_environment({"GELATO_DATA_DIR": str(tmp_path)}).where() == DEFAULT_REDIS_URL
    assert embedded_url(tmp_path) is None
    url = f"unix://{tempfile.mkdtemp(prefix='gr-')}/s?db=0"
    url_file(tmp_path).write_text(f"{url}\n")
    assert embedded_url(tmp_path) is None, "a killed `up` leaves the file behind, and nobody listens"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(url.removeprefix("unix://").removesuffix("?db=0"))
        server.listen()
        settings = Settings.from_environment({"GELATO_DATA_DIR": str(tmp_path)})
        assert settings.where() == settings.where_rq() == url
    named = Settings.from_environment({"GELATO_DATA_DIR": str(tmp_path), "REDIS_URL": "redis://host/0"})
    assert named.where() == named.where_rq() == "redis://host/0"
    apart = dataclasses.replace(named, rq_redis_url=SecretUrl("redis://other/0"))
    assert (apart.where(), apart.where_rq()) == ("redis://host/0", "redis://other/0")
