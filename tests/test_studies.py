"""The studies at toy size, end to end, and their figures on the committed tables."""

import csv
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from markopt.assembly import ConfigParts, compare_settings
from markopt.composition import compose, options
from markopt.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results"
FOLDERS = ("experiments", "paper_figs")
STUDIES = (
    "steady_load",
    "surge",
    "interruption",
    "dispatch_rules",
    "forecast_worth",
    "attribution",
    "planners",
)
OVER_TIME = ("steady_load", "surge", "interruption")
TABLES = dict.fromkeys(OVER_TIME, ("episodes.csv", "windows.csv")) | {
    "dispatch_rules": ("fleets.csv", "worth.csv"),
    "forecast_worth": ("runs.csv", "worth.csv"),
    "attribution": ("losses.csv", "runs.csv"),
    "planners": ("runs.csv", "differences.csv", "hours.csv", "trials.csv"),
}
SMALL = (
    "service=inception_bn",
    "catalog.batching=none",
    "catalog.instance_types=[c5.large]",
    "workload.history_s=1800",
    "controller.horizon=3",
    "controller.samples=5",
)
TOY = {
    "steady_load": (
        "planner=greedy,lambda_only",
        "seed=0,1",
        "workload.evaluate_s=120",
        "workload.scale=0.5",
    ),
    "surge": (
        "planner=greedy,static_peak",
        "seed=0",
        "workload.steady_s=120",
        "workload.surge_s=120",
        "workload.burst=0.5",
    ),
    "interruption": (
        "planner=greedy,greedy_with_standbys",
        "seed=0",
        "catalog.instance_types=[c5.large,t2.medium]",
        "catalog.function_memory_mb=null",
        "workload.evaluate_s=240",
        "workload.rates_rps=[60]",
        "controller.horizon=6",
        "cloud.market.interruptions=[{at_s:30,share:0.5}]",
    ),
    "dispatch_rules": (
        "seed=0,1",
        "workload.evaluate_s=120",
        "cloud.dispatcher=weighted_round_robin,join_shortest_queue",
        "cloud.bouncer=none,predicted_deadline",
    ),
    "forecast_worth": (
        "planner=greedy",
        "seed=0,1",
        "workload=sample",
        "workload.history_s=7200",
        "workload.evaluate_s=300",
        "workload.scale=30",
        "workload.start_s=null",
        "compare.tune_s=600",
        "forecaster=last_value,oracle",
        "headroom=0.9,1.1",
    ),
    "attribution": (
        "planner=greedy,lambda_only",
        "seed=0",
        "workload=sample",
        "workload.history_s=3600",
        "workload.evaluate_s=180",
        "workload.scale=3",
        "forecaster=last_value",
        "catalog.purchase=[on_demand,spot]",
    ),
    "planners": (
        "planner=greedy,program_delayed",
        "seed=0,1",
        "workload=sample",
        "workload.start_s=300000",
        "workload.evaluate_s=180",
        "workload.scale=10",
        "catalog.purchase=[on_demand]",
        "compare.jobs=1",
    ),
}


@pytest.fixture(scope="module")
def load():
    """Load a script of ``experiments`` or ``paper_figs`` as it is when run by itself."""
    path, modules = list(sys.path), set(sys.modules)
    loaded = {}

    def by_name(folder, name):
        if (folder, name) not in loaded:
            sys.path.insert(0, str(ROOT / folder))
            place = ROOT / folder / f"{name}.py"
            spec = importlib.util.spec_from_file_location(f"{folder}_{name}", place)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            loaded[folder, name] = module
        return loaded[folder, name]

    yield by_name
    sys.path[:] = path
    scripts = {path.stem for folder in FOLDERS for path in (ROOT / folder).glob("*.py")}
    for name in set(sys.modules) - modules:
        if name in scripts or name.startswith(FOLDERS):
            del sys.modules[name]


@pytest.fixture(scope="module")
def toys(load, tmp_path_factory):
    """Return a study's result folder at toy size, made once."""
    made = {}

    def by_name(study):
        if study not in made:
            made[study] = toy_run(load, study, tmp_path_factory.mktemp(study) / "out")
        return made[study]

    return by_name


def toy(study):
    """Return the overrides of a study's toy size; its own take the place of the common ones."""
    own = {override.split("=")[0] for override in TOY[study]}
    return [*(o for o in SMALL if o.split("=")[0] not in own), *TOY[study]]


def toy_run(load, study, output):
    module = load("experiments", study)
    if study == "planners":
        return planners_run(module, [*toy(study), f"output={output}"])
    if study != "dispatch_rules":
        return module.run([*toy(study), f"output={output}"])
    cpu = module.FixedFleet("CPU", "c5.large/on_demand", 80.0, (2, 3, 5))
    return module.run([*toy(study), f"output={output}"], [cpu])


def planners_run(module, overrides):
    """Run the planners study: its forecasters would have to be trained, and its past is a day."""
    forecasters = dict.fromkeys(module.FORECASTERS, "last_value")
    return module.run(overrides, forecasters=forecasters, before_s=600.0)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_writes_the_tables_that_its_figure_draws(study, load, toys, tmp_path):
    folder = toys(study)
    assert {path.name for path in folder.iterdir()} == {*TABLES[study], "table.md"}
    figure = load("paper_figs", study)
    path = tmp_path / "figure.svg"
    assert figure.main(figure.draw, [str(folder), str(path)]) == 0
    assert "<svg" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("study", STUDIES)
def test_a_figure_draws_the_committed_tables(study, load, tmp_path):
    figure = load("paper_figs", study)
    path = tmp_path / "figure.svg"
    assert figure.main(figure.draw, [str(RESULTS / study), str(path)]) == 0
    assert "<svg" in path.read_text(encoding="utf-8")


def test_policies_are_tuned_on_the_past_and_those_alike_share_what_was_found(toys):
    trials, rows = (rows_of(toys("planners") / name) for name in ("trials.csv", "runs.csv"))
    assert {row["policy"] for row in rows} == {"greedy", "program", "program_delayed"}
    assert {row["policy"] for row in trials} == {"greedy", "program"}
    reached = [t for t in trials if t["policy"] == "program" and float(t["attainment"]) >= 0.98]
    cheapest = min(reached, key=lambda t: float(t["cost_usd"]))
    found = {row["values"] for row in rows if row["policy"] != "greedy"}
    assert found == {cheapest["values"]}
    hours = rows_of(toys("planners") / "hours.csv")
    by_seed = [float(row["cost_usd"]) for row in rows if row["policy"] == "program"]
    assert [row["hour"] for row in hours] == ["0"]
    assert float(hours[0]["program"]) == pytest.approx(np.mean(by_seed), abs=1e-3)
    assert all(0.0 <= float(row["violated"]) <= float(row["short"]) <= 1.0 for row in rows)


def test_a_knob_walks_along_its_grid_to_the_least_and_asks_no_more_than_it_must(load):
    module = load("experiments", "planners")
    asked = []

    def worth(value):
        asked.append(value)
        return value < 3.0, abs(value - 4.0)

    grid = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    assert module.descend(grid, 2.0, worth) == 4.0
    assert sorted(asked) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert module.descend(grid, 7.0, lambda value: (False, -value)) == 7.0
    assert module.descend(grid, 3.0, lambda value: (False, 0.0)) == 3.0


def test_costs_are_paired_over_seeds_and_over_hours(load):
    table = load("experiments", "planners_table")

    def runs(policy, *hours_by_seed):
        case = {"service": "s", "purchase": "p", "policy": policy}
        return [{**case, "cost_usd": sum(h), "hours_usd": h} for h in hours_by_seed]

    rows = [*runs("greedy", [1.0, 3.0], [2.0, 2.0]), *runs("program", [1.0, 1.0], [2.0, 1.0])]
    (found,) = table.difference_rows(rows)
    assert (found["policy"], found["reference"]) == ("program", "greedy")
    assert found["cost_percent"] == pytest.approx(-37.5)
    half = 12.706 * np.std([-50.0, -25.0], ddof=1) / np.sqrt(2.0)
    assert found["seeds_high"] == pytest.approx(-37.5 + half, abs=0.01)
    # by hour the program saves 0 and 1.5 of 4 USD: drawn again, 0, 1.5 or 3 in all
    assert (found["hours_low"], found["hours_high"]) == (-75.0, 0.0)
    assert found["dearer_hours_share"] == 0.0
    (one, *_) = table.difference_rows(runs("greedy", [1.0]) + runs("program", [2.0]))
    assert one["seeds_low"] is None
    assert one["hours_low"] is None
    hours = table.hour_rows(rows)
    assert [(row["hour"], row["greedy"], row["program"]) for row in hours] == [
        (0, 1.5, 1.5),
        (1, 2.5, 1.0),
    ]


def test_a_study_that_was_cut_off_goes_on_with_the_rows_of_the_same_setting(
    load, tmp_path, monkeypatch
):
    module = load("experiments", "planners")
    overrides = [o for o in toy("planners") if not o.startswith(("planner=", "seed="))]
    overrides += ["planner=greedy", "seed=0", f"output={tmp_path / 'out'}"]
    forecasters = dict.fromkeys(module.FORECASTERS, "last_value")
    (case,) = module.cases(module.STUDY, overrides)
    runs = module.case_runs(case, tmp_path / "out.unfinished", forecasters, 600.0)
    (expected,), trials = runs.rows(main=True)
    (kept,) = (tmp_path / "out.unfinished").iterdir()
    with kept.open("a", encoding="utf-8") as file:
        file.write('\n{"digest": "cut')

    def refuse(*arguments):
        raise ConfigError("run again")

    for name in ("trial_row", "judged_row"):
        monkeypatch.setattr(module, name, refuse)
    other = [*overrides, "workload.scale=11"]
    with pytest.raises(ConfigError, match="run again"):
        planners_run(module, [o for o in other if o != "workload.scale=10"])
    folder = planners_run(module, overrides)
    (row,) = rows_of(folder / "runs.csv")
    assert float(row["cost_usd"]) == expected["cost_usd"]
    assert len(rows_of(folder / "trials.csv")) == len(trials)
    assert kept.exists()  # one policy and seed of many: the others' rows may be there too


def test_rows_are_done_with_when_the_whole_study_is(load):
    module = load("experiments", "planners")
    whole = module.cases(module.STUDY, [])
    assert module.covers(whole, whole)
    for part in ("service=nasnet", "planner=greedy", "seed=0", "catalog.purchase=[on_demand]"):
        assert not module.covers(module.cases(module.STUDY, [part]), whole)


def test_a_figure_says_what_it_lacks(load, tmp_path, capsys):
    figure = load("paper_figs", "surge")
    assert figure.main(figure.draw, [str(tmp_path), "pixels.png"]) == 2
    assert figure.main(figure.draw, [str(tmp_path), str(tmp_path / "figure.svg")]) == 2
    assert "windows.csv: expected a study's table" in capsys.readouterr().err


@pytest.mark.parametrize("study", STUDIES)
def test_the_committed_tables_are_small_and_of_the_study_as_configured(study, load):
    config = compose([f"experiment={study}"]).config
    settings = compare_settings(config)
    for path in (RESULTS / study).iterdir():
        assert path.stat().st_size < 64 * 1024
    if study == "dispatch_rules":
        pairs = {
            (row["dispatcher"], row["bouncer"]) for row in rows_of(RESULTS / study / "worth.csv")
        }
        assert len(pairs) == 12
        return
    if study == "forecast_worth":
        rows = rows_of(RESULTS / study / "runs.csv")
        assert {row["policy"] for row in rows} == set(settings.planners)
        assert {"last_value", "oracle"} <= {row["forecaster"] for row in rows}
        return
    if study == "planners":
        rows = rows_of(RESULTS / study / "runs.csv")
        known = load("experiments", "planner_policies").policies(function=True)
        assert set(settings.planners) <= set(known)
        assert {row["policy"] for row in rows} <= set(known)
        assert {int(row["seed"]) for row in rows} == set(settings.seeds)
        return
    if study == "attribution":
        rows = rows_of(RESULTS / study / "losses.csv")
        assert {row["policy"] for row in rows} == set(settings.planners)
        assert {int(row["seed"]) for row in rows} == set(settings.seeds)
        return
    episodes = rows_of(RESULTS / study / "episodes.csv")
    assert {row["policy"] for row in episodes} == set(settings.planners)
    assert {int(row["seed"]) for row in episodes} == set(settings.seeds)


def test_every_study_has_its_script_figure_tables_and_section():
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    elsewhere = "".join(
        (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("ablations", "results")
    )
    composed = {option: compose([f"experiment={option}"]) for option in options("experiment")}
    swept = {o for o, c in composed.items() if c.sweep and c.trials is None}
    assert set(STUDIES) == {o for o in swept if f"NAME={o}\n" not in elsewhere}
    for study in STUDIES:
        assert (ROOT / "experiments" / f"{study}.py").is_file()
        assert f"images/{study}.svg" in page
        assert f"make study NAME={study}" in page
        assert (ROOT / "docs" / "images" / f"{study}.svg").is_file()


def test_the_tables_of_the_page_are_those_of_the_committed_results(load):
    script = load("paper_figs", "studies_page")
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    assert script.updated(page, RESULTS) == page
    with pytest.raises(ValueError, match="surge: begin"):
        script.updated(page.replace("<!-- surge: begin -->", ""), RESULTS)


def test_same_configuration_same_bytes(load, toys, tmp_path):
    folders = [toys("steady_load"), toy_run(load, "steady_load", tmp_path / "again")]
    figure = load("paper_figs", "steady_load")
    drawn = []
    for at, folder in enumerate(folders):
        path = tmp_path / f"{at}.pdf"
        assert figure.main(figure.draw, [str(folder), str(path)]) == 0
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith(b"%PDF")
    for name in TABLES["steady_load"]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_the_windows_of_an_episode_add_up_to_it(load):
    tables = load("experiments", "study_tables")
    config = ["experiment=surge", *toy("surge"), "planner=greedy"]
    overrides = [o for o in config if o != "planner=greedy,static_peak"]
    parts = ConfigParts(overrides, planners=["greedy"])
    from markopt.evaluation import CompareSettings, compare

    (episode,) = compare(parts, CompareSettings(("greedy",))).episodes
    windows = tables.windows_of(episode)
    assert windows["time_s"].tolist() == [0.0, 60.0, 120.0, 180.0]
    arrivals = np.array([record.arrivals for record in episode.intervals])
    within = float((windows["attainment"] * arrivals).sum())
    assert within == pytest.approx(arrivals.sum() - episode.statistics.violations)
    hours = episode.interval_s / 3600.0
    assert windows["usd_per_h"].sum() * hours == pytest.approx(episode.intervals[-1].bill_usd)
    assert (windows["p50_ms"] <= windows["p98_ms"]).all()


def test_an_interruption_with_replacements_to_be_had_is_seen_in_its_rows(toys):
    folder = toys("interruption")
    episodes = {row["policy"]: row for row in rows_of(folder / "episodes.csv")}
    assert {(row["taken"], row["outage"]) for row in episodes.values()} == {("50 %", "False")}
    assert all(int(row["interruptions"]) > 0 for row in episodes.values())
    with_standbys, without = (episodes[p] for p in ("greedy_with_standbys", "greedy"))
    assert float(with_standbys["attainment"]) > float(without["attainment"])


def test_windows_of_seeds_are_averaged_and_empty_ones_left_out(load):
    tables = load("experiments", "study_tables")
    one = {
        key: np.array([1.0, np.nan if key.startswith("p") else 2.0])
        for key in ("p50_ms", "p98_ms", "attainment", "lambda_share", "usd_per_h")
    }
    other = {key: np.array([3.0, 4.0]) for key in one}
    times = {"time_s": np.array([0.0, 60.0])}
    rows = tables.over_seeds([one | times, other | times])
    assert [row["p98_ms"] for row in rows] == [2.0, 4.0]
    assert [row["attainment"] for row in rows] == [2.0, 3.0]
    assert [row["attainment_min"] for row in rows] == [1.0, 2.0]
    nothing = tables.over_seeds([one | times])
    assert nothing[1]["p98_ms"] is None


def test_a_study_sweeps_what_its_configuration_says_and_an_override_takes_its_place(load):
    tables = load("experiments", "study_tables")
    study = load("experiments", "surge").STUDY
    assert [case.labels for case in tables.cases(study, [])] == [
        {"surge": surge, "functions": functions}
        for functions in (True, False)
        for surge in (1.25, 1.5, 2.0, 3.0)
    ]
    some = tables.cases(study, ["workload.burst=0.1,0.2", "catalog.function_memory_mb=auto"])
    assert [case.labels["surge"] for case in some] == [1.1, 1.2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cloud.latency_window_s=30", r"cloud\.latency_window_s"),
        ("planner=nothing", "nothing"),
        ("workload.bursts=1", "burst"),
    ],
)
def test_a_wrong_setting_of_a_study_is_one_line_and_leaves_nothing(
    override, message, load, tmp_path, capsys
):
    study = load("experiments", "surge")
    arguments = [*toy("surge"), override, f"output={tmp_path / 'out'}"]
    assert study.main(study.run, arguments) == 2
    assert message.replace("\\", "") in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def dispatch_scene(load, rate_rps, *overrides):
    module = load("experiments", "dispatch_rules")
    settings = ["seed=0", "workload.evaluate_s=180", *overrides]
    (case,) = module.cases(
        module.STUDY,
        [*(o for o in SMALL), *settings],
    )
    fleet = module.FixedFleet("CPU", "c5.large/on_demand", rate_rps, (1,))
    return module, fleet, module.scenes_of(case, fleet)[0]


WRR, NONE = "cloud.dispatcher=weighted_round_robin", "cloud.bouncer=none"


def test_a_fixed_fleet_without_spill_costs_its_price_and_the_warm_functions(load):
    module, fleet, scene = dispatch_scene(load, 40.0, WRR, NONE)
    offer = next(o for o in scene.offers if o.name == fleet.varied)
    found = module.measured(scene, {fleet.varied: 4})
    assert found["spill_share"] == 0.0
    warm_usd_per_s = module.WARM_FUNCTIONS * scene.function.warm_price_usd_per_s
    expected = 3600.0 * (4 * offer.price_usd_per_s + warm_usd_per_s)
    assert found["usd_per_h"] == pytest.approx(expected)


def test_without_a_bouncer_a_fleet_too_small_misses_and_with_one_it_spills(load):
    module, fleet, scene = dispatch_scene(load, 80.0, WRR, NONE)
    assert module.utilisation(fleet, 2, scene.offers) > 1.1
    queued = module.measured(scene, {fleet.varied: 2})
    assert queued["attainment"] < 0.5
    assert queued["spill_share"] == 0.0
    module, fleet, scene = dispatch_scene(load, 80.0, WRR, "cloud.bouncer=predicted_deadline")
    spilled = module.measured(scene, {fleet.varied: 2})
    assert spilled["attainment"] > 0.98
    assert spilled["spill_share"] > 0.1


def test_a_span_that_is_all_settling_is_refused(load):
    module, fleet, scene = dispatch_scene(load, 40.0, WRR, NONE, "workload.evaluate_s=60")
    with pytest.raises(ConfigError, match="settling time"):
        module.measured(scene, {fleet.varied: 1})


def test_worth_is_paired_with_the_reference_of_the_same_fleet(load):
    module = load("experiments", "dispatch_rules")

    def least(*costs):
        fixed = {"count": 3, "spill_share": 0.0, "attainment": 0.99, "p98_ms": 1.0}
        return [{"seed": s, "usd_per_h": usd, **fixed} for s, usd in enumerate(costs)]

    rows = module.worth(
        {
            ("a", "weighted_round_robin", "none"): least(2.0, 4.0),
            ("a", "power_of_two", "none"): least(1.0, 2.0),
            ("a", "join_shortest_queue", "none"): least(1.0),
            ("b", "weighted_round_robin", "none"): least(1.0),
            ("b", "power_of_two", "none"): least(1.0, 1.0),
        },
        seeds=2,
    )
    assert [row["cost_ratio"] for row in rows] == [1.0, 0.5, None, None, None]
    assert (rows[1]["ci95_low"], rows[1]["ci95_high"]) == (0.5, 0.5)
    assert rows[2]["usd_per_h"] is None, "it did not hold the SLO with every seed"
    assert rows[4]["usd_per_h"] == 1.0
    shown = module.shown(rows)
    assert [row["cost ratio (95 %)"] for row in shown][2:] == ["SLO not held", "SLO not held", "-"]


def test_the_committed_worth_has_the_reference_at_one():
    rows = rows_of(RESULTS / "dispatch_rules" / "worth.csv")
    reference = [
        r for r in rows if (r["dispatcher"], r["bouncer"]) == ("weighted_round_robin", "none")
    ]
    assert [float(row["cost_ratio"]) for row in reference] == [1.0] * len(
        {r["fleet"] for r in rows}
    )
    assert all(math.isfinite(float(row["cost_ratio"])) for row in rows if row["cost_ratio"])


def curve(costs, attainments):
    """Return runs over head-rooms, by a function that notes what was asked for."""
    asked = []

    def attempt(headroom):
        asked.append(headroom)
        return {
            "headroom": headroom,
            "cost_usd": costs[headroom],
            "attainment": attainments.get(headroom, 1.0),
        }

    return asked, attempt


def test_the_walk_over_head_rooms_turns_round_where_cost_has_risen_by_a_fifth(load):
    table = load("experiments", "worth_table")
    costs = {0.3: 9.0, 0.5: 9.0, 0.8: 7.0, 1.0: 8.0, 1.2: 8.3, 1.5: 9.0, 2.0: 1.0}
    asked, attempt = curve(costs, {})
    tried = list(table.walk(list(costs), attempt, 0.98))
    assert asked == [1.0, 0.8, 0.5, 1.2, 1.5]
    assert table.tuned_run(tried, 0.98)["headroom"] == 0.8


def test_the_walk_goes_up_until_the_slo_is_met_and_not_below_where_it_is_missed(load):
    table = load("experiments", "worth_table")
    costs = {0.5: 1.0, 1.0: 2.0, 1.5: 3.0, 2.0: 4.0, 2.5: 4.5, 3.0: 6.0}
    asked, attempt = curve(costs, {0.5: 0.5, 1.0: 0.9, 1.5: 0.95})
    tried = list(table.walk(list(costs), attempt, 0.98))
    assert asked == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert table.tuned_run(tried, 0.98)["headroom"] == 2.0
    assert table.tuned_run(tried[:2], 0.98)["headroom"] == 1.5  # none attains: the closest


def test_what_a_forecast_saves_is_paired_by_seed_and_a_share_of_perfect_foresights(load):
    table = load("experiments", "worth_table")
    common = {"functions": True, "policy": "p", "target": "mean", "pinball": 0.1}
    rows = [
        {
            **common,
            "span": span,
            "forecaster": name,
            "headroom": headroom,
            "seed": seed,
            "attainment": 0.99 - 0.02 * (span == "judged" and seed == 2),
            "cost_usd": base + seed + 5.0 * (headroom == 1.0),
        }
        for name, base in (("last_value", 10.0), ("better", 8.0), ("oracle", 6.0))
        for span, seeds, headrooms in (
            ("tuning", (0,), (1.0, 1.2)),
            ("judged", (0, 1, 2), (1.2,)),
        )
        for headroom in headrooms
        for seed in seeds
    ]
    found = {row["forecaster"]: row for row in table.worth(rows, 0.98)}
    assert found["better"]["headroom"] == 1.2
    assert found["better"]["cost_usd"] == 9.0
    assert found["better"]["saved_usd"] == 2.0
    assert found["better"]["gap_share"] == 0.5
    assert found["better"]["least_attainment"] == pytest.approx(0.97)
    assert found["oracle"]["gap_share"] == 1.0
    assert found["last_value"]["saved_usd"] is None
    assert found["last_value"]["tuned_cost_usd"] == 10.0


def test_head_rooms_are_tuned_on_the_past_and_judged_on_what_follows(load, toys, tmp_path):
    folder = toys("forecast_worth")
    rows = rows_of(folder / "runs.csv")
    tuning = [row for row in rows if row["span"] == "tuning"]
    judged = [row for row in rows if row["span"] == "judged"]
    assert {row["seed"] for row in tuning} == {"0"}
    kinds = {(row["functions"], row["forecaster"]) for row in rows}
    assert kinds == {(f, n) for f in ("True", "False") for n in ("last_value", "oracle")}
    assert len(judged) == 2 * len(kinds)
    table = load("experiments", "worth_table")
    for functions, forecaster in kinds:
        own = {"functions": functions, "forecaster": forecaster}
        tried, later = (
            [row for row in of_span if own.items() <= row.items()] for of_span in (tuning, judged)
        )
        assert {row["headroom"] for row in later} == {table.tuned_run(tried, 0.98)["headroom"]}
    assert len({row["requests"] for row in tuning}) == 1
    assert not {row["requests"] for row in tuning} & {row["requests"] for row in judged}
    losses = {row["forecaster"]: row["pinball"] for row in rows}
    assert float(losses["oracle"]) == 0.0 < float(losses["last_value"])
    again = toy_run(load, "forecast_worth", tmp_path / "again")
    for name in TABLES["forecast_worth"]:
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def sums_of(folder):
    """Return bill less bound, and the sums of the parts in both orders, of every attribution."""
    keys = ("trace", "spot", "policy", "seed")
    found = {}
    for row in rows_of(folder / "runs.csv"):
        whole = found.setdefault(tuple(row[key] for key in keys), [0.0, 0.0, 0.0])
        if (row["order"], row["perfect"]) == ("forward", "nothing"):
            whole[0] += float(row["cost_usd"])
        if row["perfect"] == "bound":
            whole[0] -= float(row["cost_usd"])
    for row in rows_of(folder / "losses.csv"):
        whole = found[tuple(row[key] for key in keys)]
        whole[1] += float(row["usd"])
        whole[2] += float(row["reverse_usd"])
    return list(found.values())


def test_the_parts_of_a_loss_sum_to_the_whole_in_tables_too(toys):
    for folder in (toys("attribution"), RESULTS / "attribution"):
        for whole, forward, reverse in sums_of(folder):
            assert forward == pytest.approx(whole, abs=2e-5)  # nine parts, rounded to a millionth
            assert reverse == pytest.approx(whole, abs=2e-5)


def test_twitter_joins_the_attribution_only_where_it_is_and_no_other_load_is_wanted(
    load, tmp_path, monkeypatch, capsys
):
    module = load("experiments", "attribution")
    monkeypatch.setenv("MARKOPT_DATA", str(tmp_path))
    assert {case.labels["trace"] for case in module.all_cases([])} == {"sample"}
    assert "MARKOPT_DATA" in capsys.readouterr().err
    path = tmp_path / "traces" / "twitter_2021-08_14d_per_second.csv.gz"
    path.parent.mkdir()
    path.touch()
    found = module.all_cases([])
    assert [(case.labels["trace"], case.labels["spot"]) for case in found] == [
        ("sample", False),
        ("sample", True),
        ("twitter", True),
    ]
    assert found[-1].config.workload.start_s is None
    own = module.all_cases(["workload=poisson", "workload.rates_rps=[9]", "~workload.start_s"])
    assert {case.labels["trace"] for case in own} == {"poisson"}
