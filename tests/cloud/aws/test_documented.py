"""The rehearsal in docs/deploy.md is carried out as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

from markopt.cloud.aws.tags import AT_RISK, DECISION, DEPLOYMENT, ENDED_BY, LAUNCHED, LEAVING
from tests.cloud.aws.test_policies import actions_of, policy
from tests.cloud.aws.worlds import CREDENTIALS, client, instances, tags_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SHORTER = ["workload.evaluate_s=360", "catalog.instance_types=[c5.large]", "deploy.name=documented"]


def documented_command() -> list[str]:
    block = re.search(
        r"^markopt deploy cloud=aws cloud\.endpoint_url=.*?(?=^```)", PAGE, re.M | re.S
    )
    assert block is not None
    return shlex.split(block[0].replace("\\\n", " "))


def run(command: list[str], folder: Path) -> str:
    """Return what a command says; it must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_dry_run_prints_the_calls_and_makes_none(moto_url: str, tmp_path: Path) -> None:
    program, verb, *arguments = documented_command()
    assert (program, verb) == ("markopt", "deploy")
    arguments = [text.replace("http://127.0.0.1:5000", moto_url) for text in arguments]
    changes = [*SHORTER[:-1], "deploy.name=dry"]
    command = [sys.executable, "-m", "markopt.cli", "deploy", "--dry-run", *arguments, *changes]
    said = run(command, tmp_path)
    assert re.search(r"^  ec2:RunInstances \d+\.\.\d+ x c5\.large ", said, re.MULTILINE), said
    assert instances(moto_url, "dry") == []
    assert list(tmp_path.iterdir()) == []


def test_the_documented_rehearsal_drives_a_fleet(moto_url: str, tmp_path: Path) -> None:
    program, *arguments = documented_command()
    assert program == "markopt"
    arguments = [text.replace("http://127.0.0.1:5000", moto_url) for text in arguments]
    command = [sys.executable, "-m", "markopt.cli", *arguments, *SHORTER]
    first = run(command, tmp_path)
    assert "over since" in run(command, tmp_path), "given again, it finds that all is done"
    journal = tmp_path / "documented.journal"
    replayed = run([*command[:3], "replay", journal.name], tmp_path)
    assert "6 equal bit for bit, 0 diverged" in replayed
    for secret in (CREDENTIALS["AWS_SECRET_ACCESS_KEY"], CREDENTIALS["AWS_SESSION_TOKEN"]):
        assert secret not in first
        assert not any(secret.encode() in file.read_bytes() for file in tmp_path.iterdir())
    made = [tags_of(entry) for entry in instances(moto_url, "documented")]
    offers = Counter(tags["markopt:offer"].split("/")[0] for tags in made)
    assert offers["c5.large"] > 0
    decisions = {tags[DECISION] for tags in made}
    assert any(name != "initial-fleet" for name in decisions), decisions
    names = [
        b["LoadBalancerName"]
        for b in client(moto_url, "elbv2").describe_load_balancers(Names=["documented"])[
            "LoadBalancers"
        ]
    ]
    assert names == ["documented"]


def test_every_tag_and_the_number_of_actions_are_documented() -> None:
    for tag in (AT_RISK, DECISION, DEPLOYMENT, ENDED_BY, LAUNCHED, LEAVING):
        assert f"`{tag}`" in PAGE
    assert f"has {len(actions_of(policy('iam_policy.json')))} actions" in PAGE


def test_every_setting_that_is_documented_exists() -> None:
    conf = (ROOT / "conf" / "cloud" / "aws.yaml").read_text(encoding="utf-8")
    for path in re.findall(r"cloud\.([a-z_.]+)", PAGE):
        if path.startswith("aws"):
            continue
        for key in path.split("."):
            assert re.search(rf"^\s*{key}:", conf, re.M), path
