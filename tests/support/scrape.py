"""Reading `/metrics` as Prometheus does."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(base: str, token: str | None = None) -> Samples:
    """All samples of a scrape, by name and sorted labels. On a connection of its own: any process may answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(f"{base}/metrics", headers=headers, timeout=10.0, verify=False)
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


def parsed(text: str) -> Samples:
    """The samples of a text in Prometheus's format."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    wanted = set(labels.items())
    found = [number for (each, held), number in samples.items() if each == name and wanted <= set(held)]
    assert found, f"{name}{labels} is not there"
    return sum(found)


def names(samples: Samples) -> set[str]:
    """The names of all samples."""
    return {name for name, _ in samples}
