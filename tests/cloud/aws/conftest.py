"""Moto's server as a process of its own, one per test session and worker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import count

import pytest

from tests.cloud.aws.worlds import CREDENTIALS

_numbers = count(1)


@pytest.fixture(scope="session")
def moto_url(_credentials: None) -> Iterator[str]:
    """Return the address of a server that is this session's alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "MOTO_ACCOUNT_ID": "123456789012"}
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url, server)
        yield url
    finally:
        server.kill()
        server.wait(10)


@pytest.fixture
def name() -> str:
    """Return a deployment's name that no other test of the session has."""
    return f"t{next(_numbers)}"


@pytest.fixture(scope="session", autouse=True)
def _credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for key, value in CREDENTIALS.items():
            patch.setenv(key, value)
        yield


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError(f"moto's server ended with code {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("moto's server did not answer")
