"""Pages: result files in, one standalone HTML file out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markopt.errors import DataError
from markopt.evaluation.backtest.results import BY_STEP as BACKTEST
from markopt.evaluation.backtest.results import read_backtest
from markopt.evaluation.characterization.results import FINDINGS, read_characterization
from markopt.evaluation.explanations import read_explanations
from markopt.evaluation.folder import replace_text
from markopt.evaluation.report import (
    backtest_page,
    characterization_page,
    comparison_figures,
    episode_figures,
)
from markopt.evaluation.report.style import DARK_SHADES, KIND_LABELS
from markopt.evaluation.results import REPORT, SUMMARY, EpisodeFiles, read_episode
from markopt.evaluation.tabulation import COMPARISON, ComparisonFiles, read_comparison

DASH, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
Section = dict[str, Any]


def report_folder(folder: Path) -> Path:
    """Rebuild ``report.html`` of a result folder from its files alone.

    Raises:
        DataError: it is no result folder (of a run, comparison, characterisation or backtest), or a
            file is missing or damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a result folder, there is none")
    if (folder / COMPARISON).is_file():
        return write_comparison_report(folder)
    if (folder / BACKTEST).is_file():
        return write_backtest_report(folder)
    if (folder / SUMMARY).is_file():
        return write_report(folder)
    if (folder / FINDINGS).is_file():
        return write_characterization_report(folder)
    raise DataError(f"{folder}: expected '{SUMMARY}' or '{COMPARISON}' in it, found neither")


def write_report(folder: Path) -> Path:
    """Write the report of one episode; return its path."""
    episode = read_episode(folder)
    return _write(folder, "episode.html.j2", _episode_context(episode))


def write_comparison_report(folder: Path) -> Path:
    """Write the report of a comparison; return its path."""
    comparison = read_comparison(folder)
    return _write(folder, "comparison.html.j2", _comparison_context(comparison))


def write_characterization_report(folder: Path) -> Path:
    """Write the report of a characterisation; return its path."""
    files = read_characterization(folder)
    return _write(folder, "characterization.html.j2", characterization_page.context(files))


def write_backtest_report(folder: Path) -> Path:
    """Write the report of a backtest; return its path."""
    return _write(folder, "backtest.html.j2", backtest_page.context(read_backtest(folder)))


def _write(folder: Path, template: str, context: dict[str, Any]) -> Path:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["cell"] = cell
    figures = {section["id"]: section["figure"] for section in context["sections"]}
    page = environment.get_template(template).render(
        **context,
        figures=_script_safe(figures),
        dark_shades=_script_safe(DARK_SHADES),
        plotly_js=get_plotlyjs().replace("</script", "<\\/script"),
    )
    path = folder / REPORT
    replace_text(path, page)
    return path


def _script_safe(document: Any) -> str:
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def cell(value: Any, form: str = "") -> str:
    """Return a table cell: a dash for what is missing, else the value in its form."""
    if value is None:
        return DASH
    if form == "%":
        return f"{100.0 * float(value):.2f} %"
    if form == "ms":
        return f"{1000.0 * float(value):.0f} ms"
    return format(value, form)


def _section(identity: str, title: str, note: str, figure: Any, **more: Any) -> Section:
    return {"id": identity, "title": title, "note": note, "figure": figure, "half": False, **more}


def _regret_sections(episode: EpisodeFiles) -> list[Section]:
    """Return the section on single decisions, where any was judged."""
    means, table = episode.summary.get("regret"), episode.regret
    if means is None or table is None or not len(table):
        return []
    minutes = float(table["intervals"].max()) * episode.summary["span_s"]["interval"] / 60.0
    shown = [
        f"{words} {means[key]:.4g} USD"
        for key, words in (
            ("realized_plan_usd", "the plan"),
            ("realized_greedy_usd", "greedy's on the same problem"),
            ("hindsight_usd", "the same planner's, had it known the demand"),
            ("foresight_usd", "the clairvoyant bound's schedule"),
        )
        if means[key] is not None
    ]
    note = (
        f"What each plan costs over the {minutes:g} min that it looks ahead, at the demand that "
        f"came and without planning again. Mean of {means['decisions']} decisions: "
        f"{', '.join(shown)}."
    )
    return [_section("regret", "Regret per decision", note, episode_figures.regret(episode))]


def _attribution_sections(episode: EpisodeFiles) -> list[Section]:
    """Return the section on where the loss comes from, where that was asked for."""
    table = episode.attribution
    if table is None:
        return []
    loss_usd = float(table["usd"].sum())
    note = (
        f"The {loss_usd:.4g} USD above the clairvoyant bound, by re-runs on the same arrivals that "
        "make one more part perfect each. Which part comes first matters; the reverse order is in "
        "attribution.csv."
    )
    figure = episode_figures.attribution(episode)
    return [_section("attribution", "Where the loss comes from", note, figure)]


def _episode_sections(episode: EpisodeFiles) -> list[Section]:
    slo = episode.summary["slo"]
    return [
        _section(
            "load",
            "Load and forecast",
            "Arrival rate of each interval, and what had been forecast for it at its start.",
            episode_figures.load(episode),
        ),
        _section(
            "fleet",
            "Fleet by offer",
            "Instances that are paid for right after each decision, booting ones included.",
            episode_figures.fleet(episode),
        ),
        _section(
            "attainment",
            "Attainment over time",
            f"Share of requests answered within {1000 * slo['rt_max_s']:g} ms, by arrival time.",
            episode_figures.attainment(episode),
        ),
        _section(
            "spill",
            "Spill",
            "Requests that no instance could answer in time.",
            episode_figures.spill(episode),
            half=True,
        ),
        _section(
            "cost",
            "Cost by kind",
            f"The final bill: {episode.summary['cost_usd']['total']:.4g} USD.",
            episode_figures.cost_by_kind(episode),
            half=True,
        ),
        _section(
            "latency",
            "Response times by path",
            "Refused requests have none and count as misses.",
            episode_figures.latency(episode),
            half=True,
        ),
        _section(
            "planning",
            "Planner time and gap",
            "Gap: how far the decision can be from the best one for its forecast.",
            episode_figures.planning(episode),
            half=True,
        ),
        *_regret_sections(episode),
        *_attribution_sections(episode),
    ]


def _episode_context(episode: EpisodeFiles) -> dict[str, Any]:
    summary, timing = episode.summary, episode.timing
    slo, met = summary["slo"], summary["slo"]["met"]
    span_h = (summary["span_s"]["end"] - summary["span_s"]["start"]) / 3600.0
    kinds = {k: v for k, v in summary["cost_usd"].items() if k != "total" and v}
    largest = max(kinds, key=lambda k: kinds[k], default=None)
    over = summary["cost_over_bound"]
    bound = summary["clairvoyant_bound_usd"]
    if over is not None:
        bound_note = f"least possible: {bound:.4g} USD"
    elif bound is None:
        bound_note = "bound not computed"
    else:
        bound_note = "not compared: the SLO is missed"
    tiles = [
        {
            "label": "Cost",
            "value": f"{summary['cost_usd']['total']:.4g} USD",
            "note": f"mostly {KIND_LABELS.get(largest, largest).lower()}" if largest else "",
        },
        {
            "label": "Over clairvoyant bound",
            "value": DASH if over is None else f"{over:.2f} {TIMES}",
            "note": bound_note,
        },
        {
            "label": "Attainment",
            "value": cell(slo["attainment"], "%"),
            "note": f"target {100 * slo['sl_min']:g} %: " + ("met" if met else "missed"),
            "state": "good" if met else "bad",
        },
        {
            "label": "98th percentile",
            "value": cell(summary["latency_s"]["p98"], "ms"),
            "note": f"RT_max {1000 * slo['rt_max_s']:g} ms",
        },
        {
            "label": "Served by Lambda",
            "value": cell(summary["lambda_share"], "%"),
            "note": _not_served(summary["requests"]),
        },
        {
            "label": "Planning, mean",
            "value": DASH
            if timing["plan_s"]["mean"] is None
            else f"{1000 * timing['plan_s']['mean']:.1f} ms",
            "note": f"{summary['launches']} launches, {summary['interruptions']} interruptions",
        },
    ]
    return {
        "title": f"{summary['policy']} on {summary['trace']}",
        "subtitle": f"{summary['service']} · {span_h:.4g} h · "
        f"{summary['requests']['total']:,} requests · seed {summary['seed']}",
        "tiles": tiles,
        "sections": _episode_sections(episode),
        "decisions": list(reversed(episode.last_decisions)),
        "decision_count": episode.decision_count,
        "explanations": read_explanations(episode.folder),
        "begin_s": summary["span_s"]["start"],
        "rungs": summary["planner"]["rungs"],
    }


def _not_served(requests: dict[str, int]) -> str:
    """Return how many requests were refused, and of those how many functions throttled, or lost."""
    note = f"{requests['refused']:,} refused"
    if throttled := requests.get("throttled", 0):
        note += f", {throttled:,} of them throttled"
    if lost := requests.get("lost", 0):
        note += f"; {lost:,} lost"
    return note


def _comparison_sections(
    episodes: Sequence[EpisodeFiles], front: Sequence[dict[str, Any]]
) -> list[Section]:
    sections = [
        _section(
            "scatter",
            "Cost against attainment",
            "Lower and further right is better; left of the dashed line the SLO is missed. "
            "Grey steps join the policies that no other one beats in both.",
            comparison_figures.cost_against_attainment(episodes, front),
            half=True,
        ),
        _section(
            "kinds",
            "Cost by kind",
            "Mean over the seeds.",
            comparison_figures.cost_by_kind(episodes),
            half=True,
        ),
        _section(
            "bills",
            "Cost over time",
            "Cumulative bill, first seed.",
            comparison_figures.cost_over_time(episodes),
        ),
        _section(
            "load",
            "Load and forecast",
            "The arrivals that every policy served, first seed.",
            episode_figures.load(episodes[0]),
        ),
    ]
    for at, (policy, figure) in enumerate(comparison_figures.fleets(episodes).items()):
        note = "Billed instances by offer, first seed; scales differ where fleets do by far."
        title = f"Fleet of {policy}"
        sections.append(_section(f"fleet{at}", title, note, figure, half=True))
    return sections


def _comparison_context(comparison: ComparisonFiles) -> dict[str, Any]:
    document, episodes = comparison.document, comparison.episodes
    first = episodes[0].summary
    span_h = (first["span_s"]["end"] - first["span_s"]["start"]) / 3600.0
    seeds = ", ".join(str(seed) for seed in document["seeds"])
    return {
        "title": f"{len(document['policies'])} policies on {first['trace']}",
        "subtitle": f"{first['service']} · {100 * first['slo']['sl_min']:g} % within "
        f"{1000 * first['slo']['rt_max_s']:g} ms · {span_h:.4g} h · "
        f"{first['requests']['total']:,} requests · seed {seeds}",
        "table": comparison.table,
        "seed_count": len(document["seeds"]),
        "differences": [d for d in document["differences"] if d["metric"] == "cost_usd"],
        "tests": [t for t in document.get("tests", ()) if t["metric"] == "cost_usd"],
        "ranks": document.get("ranks", ()),
        "beaten": {p["policy"]: p["dominated_by"] for p in document.get("front", ())},
        "tuning": document["tuning"],
        "equal_slo": document["equal_slo"],
        "winner": document["winner"],
        "links": {e.summary["policy"]: None for e in episodes},
        "sections": _comparison_sections(episodes, document.get("front", ())),
    }
