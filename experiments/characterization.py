"""Which of MArk's findings hold for which service?

Characterises every service on every catalogue (``markopt characterize``), prints and writes one
table of verdicts, ``results/characterization/verdicts.md``; ``paper_figs/characterization.py``
draws the figure of a service's folder.

    python experiments/characterization.py [KEY=VALUE ...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markopt.cli import main
from markopt.composition import options

HEADERS = {
    "small_cpu": "small CPU cheaper",
    "gpu": "GPU only with batching and load",
    "cost_order": "IaaS < CaaS < FaaS",
    "iaas_faas": "of it: IaaS < FaaS",
    "fastest_to_scale": "functions scale fastest",
    "iaas_ratio": "IaaS best ratio, slow",
}
DASH = "\N{EN DASH}"
MARKS = {True: "indicated", False: "not indicated", None: "no data"}


def run(overrides: Sequence[str]) -> int:
    """Run the study; ``overrides`` change it as on the command line of ``characterize``."""
    defaults = [f"service={','.join(options('service'))}", "output=results/characterization"]
    given = {override.split("=", 1)[0]: override.split("=", 1)[1] for override in overrides}
    kept = [default for default in defaults if default.split("=", 1)[0] not in given]
    code = main(["characterize", "-m", *kept, *overrides])
    if code == 0:
        folder = Path(given.get("output", "results/characterization"))
        text = verdicts(folder)
        (folder / "verdicts.md").write_text(text, encoding="utf-8")
        print(text, end="")
    return code


def verdicts(folder: Path) -> str:
    """Return the verdicts of all studies below a folder, as a Markdown table."""
    rows = [("service", "catalogue", *HEADERS.values()), ("---",) * (2 + len(HEADERS))]
    for path in sorted(folder.glob("*/findings.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        by_catalog: dict[str, dict[str, dict[str, Any]]] = {}
        for finding in document["findings"]:
            by_catalog.setdefault(finding["catalog"], {})[finding["key"]] = finding
        for catalog, findings in by_catalog.items():
            direct = findings["cost_order"]["claims"][-1]
            cells = {key: finding_cell(finding) for key, finding in findings.items()}
            cells["iaas_faas"] = claim_cell(direct)
            rows.append((document["service"], catalog, *(cells[key] for key in HEADERS)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def claim_cell(claim: dict[str, Any]) -> str:
    """Return a comparison's verdict, or what it indicates where nothing is decided."""
    if claim["verdict"] != "not decided":
        return str(claim["verdict"])
    return f"{DASH} ({MARKS[claim['indicated']]})"


def finding_cell(finding: dict[str, Any]) -> str:
    """Return a finding's verdict; undecided ones tell what their comparisons indicate."""
    if finding["verdict"] != "not decided":
        return f"**{finding['verdict']}**" if finding["verdict"] == "fails" else "holds"
    seen = [claim["indicated"] for claim in finding["claims"]]
    if not seen or None in seen:
        return f"{DASH} ({MARKS[None]})"
    return f"{DASH} ({MARKS[all(seen)]})"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
