"""The rehearsal in docs/deploy.md is carried out as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

from markopt.cloud.aws.tags import AT_RISK, DECISION, DEPLOYMENT, ENDED_BY, LAUNCHED, LEAVING
from tests.cloud.aws.test_policies import actions_of, policy
from tests.cloud.aws.worlds import client, instances, tags_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SHORTER = ["workload.evaluate_s=360", "catalog.instance_types=[c5.large]", "deploy.name=documented"]


def documented_command() -> list[str]:
    block = re.search(
        r"^markopt deploy cloud=aws cloud\.endpoint_url=.*?(?=^```)", PAGE, re.M | re.S
    )
    assert block is not None
    return shlex.split(block[0].replace("\\\n", " "))


def test_the_documented_rehearsal_drives_a_fleet(moto_url: str, tmp_path: Path) -> None:
    program, *arguments = documented_command()
    assert program == "markopt"
    arguments = [text.replace("http://127.0.0.1:5000", moto_url) for text in arguments]
    command = [sys.executable, "-m", "markopt.cli", *arguments, *SHORTER]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for _ in range(2):  # given again, it finds that all is done
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "over since" in done.stdout
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
