"""User data reaches the program as it is, whatever it holds, and no shell interprets it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.cloud.aws import ServerSettings
from markopt.cloud.aws.user_data import ENVIRONMENT_FILE, user_data
from markopt.core import Batching
from markopt.errors import ConfigError
from tests.cloud.aws.worlds import SERVICE
from tests.cloud.worlds import offer

OFFER = replace(
    offer("c5.large/spot", service_times_s=(0.01, 0.02, 0.03), servers=2),
    name="c5.large/spot@0.60",
    batching=Batching(3, 0.0125),
)
ECHO = "import json, sys; json.dump(sys.argv[1:], open(sys.argv[1], 'w'))"


def run(script: str, folder: Path) -> None:
    """Run the script as an instance would, below a folder in place of /etc."""
    moved = script.replace(ENVIRONMENT_FILE.rpartition("/")[0], str(folder))
    subprocess.run(["/bin/sh"], input=moved.encode(), check=True, cwd=folder)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arguments=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
        max_size=4,
    )
)
def test_every_argument_reaches_the_program_unchanged(arguments: list[str], tmp_path: Path) -> None:
    plain = [text.replace("{", "(") for text in arguments]
    written = tmp_path / "argv.json"
    command = (sys.executable, "-S", "-c", ECHO, str(written), *plain)
    run(user_data(ServerSettings(command), SERVICE, OFFER), tmp_path)
    assert json.loads(written.read_text()) == [str(written), *plain]


HOSTILE = "'; touch hacked; echo '$(touch hacked)`touch hacked`\nMARKOPT_END\ntouch hacked\n"


def test_a_hostile_argument_runs_nothing(tmp_path: Path) -> None:
    written = tmp_path / "argv.json"
    command = (sys.executable, "-S", "-c", ECHO, str(written), HOSTILE)
    run(user_data(ServerSettings(command), SERVICE, OFFER), tmp_path)
    assert json.loads(written.read_text())[1] == HOSTILE
    assert not (tmp_path / "hacked").exists()


def test_the_plans_batch_size_and_wait_reach_server_and_file(tmp_path: Path) -> None:
    written = tmp_path / "argv.json"
    shown = "{service} {offer} {batch_size} {wait_s} {servers} {port} {other}"
    command = (sys.executable, "-S", "-c", ECHO, str(written), shown)
    run(user_data(ServerSettings(command, port=9000), SERVICE, OFFER), tmp_path)
    expected = "made_up c5.large/spot@0.60 3 0.012500 2 9000 {other}"
    assert json.loads(written.read_text())[1] == expected
    lines = (tmp_path / "server.env").read_text().splitlines()
    assert lines == [
        "MARKOPT_SERVICE=made_up",
        "MARKOPT_OFFER=c5.large/spot@0.60",
        "MARKOPT_BATCH_SIZE=3",
        "MARKOPT_WAIT_S=0.012500",
        "MARKOPT_SERVERS=2",
        "MARKOPT_PORT=9000",
    ]


@pytest.mark.parametrize("name", ["two words", "a\nb", "$(x)", "a;b", "", "ü"])
def test_a_name_that_does_not_belong_into_a_file_of_settings_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"service\.name"):
        user_data(ServerSettings(), replace(SERVICE, name=name), OFFER)


def test_what_ec2_does_not_take_is_refused_beforehand() -> None:
    with pytest.raises(ConfigError, match="16384"):
        user_data(ServerSettings(("serve", "x" * 17_000)), SERVICE, OFFER)


@pytest.mark.parametrize(("command", "port"), [((), 80), (("",), 80), (("a\0b",), 80), (("a",), 0)])
def test_settings_of_no_server_are_refused(command: tuple[str, ...], port: int) -> None:
    with pytest.raises(ConfigError, match=r"cloud\.server"):
        ServerSettings(command, port)
