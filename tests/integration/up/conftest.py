"""An empty directory, and `up`s that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.up import Environment, Up


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty directory."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def start() -> Iterator[Callable[..., Up]]:
    """Start `up`s; they end with the test."""
    started: list[Up] = []

    def begin(directory: Path, env: Environment, *arguments: str) -> Up:
        up = Up(directory, env, *arguments)
        started.append(up)
        return up

    yield begin
    for up in started:
        up.kill()
