"""What the figure of a characterisation draws, as two small files that can be committed.

    markopt characterize service=inception_bn
    python experiments/characterization_points.py results/characterization-inception_bn TARGET

``characterization.csv`` keeps one catalogue's rows and the columns of the figure, ``findings.json``
the verdicts.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

COLUMNS = (
    "catalog",
    "platform",
    "model",
    "processor",
    "purchase",
    "load",
    "batch_size",
    "meets_slo",
    "usd_per_million",
    "confidence",
)
LOADS, PURCHASES = ("low", "pool"), ("on_demand", "container", "function")


def write_points(folder: Path, target: Path, catalog: str | None = None) -> None:
    """Write the small files of a characterisation; the catalogue is by default its first one."""
    with (folder / "characterization.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    catalog = catalog or rows[0]["catalog"]
    document = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    target.mkdir(parents=True, exist_ok=True)
    with (target / "characterization.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            wanted = row["load"] in LOADS and row["purchase"] in PURCHASES
            if wanted and row["catalog"] == catalog:
                writer.writerow(row)
    findings = [
        {key: finding[key] for key in ("catalog", "key", "verdict")}
        for finding in document["findings"]
        if finding["catalog"] == catalog
    ]
    kept = {key: document[key] for key in ("service", "slo", "low_rps")} | {"findings": findings}
    text = json.dumps(kept, indent=1) + "\n"
    (target / "findings.json").write_text(text, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Write the small files of the given folder into the other."""
    if len(arguments) not in (2, 3):
        print("usage: characterization_points.py FOLDER TARGET [CATALOG]", file=sys.stderr)
        return 2
    folder, target = map(Path, arguments[:2])
    if not (folder / "characterization.csv").is_file():
        print(f"{folder}: expected the files of markopt characterize", file=sys.stderr)
        return 2
    write_points(folder, target, *arguments[2:])
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
