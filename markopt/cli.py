"""The command line: ``run``, ``compare``, ``characterize``, ``backtest``, ``plan`` and others."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from markopt.errors import ConfigError, DataError, MarkoptError

PASS_THROUGH = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""Leaves -m, --cfg, --help and overrides to Hydra."""

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Provision machine-learning inference in the cloud at least cost under a latency SLO.",
)

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at trace files.")
app.add_typer(data_app, name="data")


@app.command(context_settings=PASS_THROUGH, options_metavar="[--help] [-m] [KEY=VALUE ...]")
def run(
    context: typer.Context,
    config_file: Annotated[
        Path | None, typer.Option(help="A complete configuration, as compare exports one.")
    ] = None,
) -> None:
    """Run one policy over one trace in the simulated cloud."""
    from markopt.launch import launch_run

    launch_run(context.args, config_file)


@app.command(context_settings=PASS_THROUGH, options_metavar="[--help] [-m] [KEY=VALUE ...]")
def compare(
    context: typer.Context,
    at_equal_slo: Annotated[
        float | None,
        typer.Option(help="Tune each policy's knob to attain this share on the history first."),
    ] = None,
) -> None:
    """Compare policies on the same arrivals: planner=a,b,c seed=0,1,2."""
    from markopt.launch import launch_compare

    overrides = list(context.args)
    if at_equal_slo is not None:
        overrides.append(f"compare.at_equal_slo={at_equal_slo}")
    launch_compare(overrides)


@app.command(context_settings=PASS_THROUGH, options_metavar="[--help] [-m] [KEY=VALUE ...]")
def characterize(context: typer.Context) -> None:
    """Measure one service on every platform and judge MArk's findings: catalog=a,b."""
    from markopt.launch import launch_characterize

    launch_characterize(context.args)


@app.command(context_settings=PASS_THROUGH, options_metavar="[--help] [-m] [KEY=VALUE ...]")
def backtest(context: typer.Context) -> None:
    """Judge forecasters on what came after, from a rolling origin: forecaster=a,b."""
    from markopt.launch import launch_backtest

    launch_backtest(context.args)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--yes] [--dry-run] [KEY=VALUE ...]",
)
def deploy(
    context: typer.Context,
    config_file: Annotated[
        Path | None, typer.Option(help="A policy, as compare exports one.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm a first run that changes a real account.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the calls of one decision; change nothing.")
    ] = False,
) -> None:
    """Run a policy on a cloud: cloud=NAME controller.mode=advise|shadow|act."""
    from markopt.deployment.launch import launch_deploy

    launch_deploy(context.args, config_file, confirmed=yes, dry=dry_run)


@app.command()
def profile(  # noqa: PLR0917 - Typer makes options of them
    url: Annotated[str, typer.Argument(help="Where the model server takes requests (POST).")],
    service: Annotated[str, typer.Option(help="What the profile's service is called.")],
    platform: Annotated[
        str, typer.Option(help="An instance type of a catalogue, or lambda/MB, that it runs on.")
    ],
    batch_sizes: Annotated[
        str, typer.Option(help="Batches to measure, up to the server's largest.")
    ] = "1,2,4,8",
    wait_ms: Annotated[float, typer.Option(help="How long the server's batches wait.")] = 0.0,
    repeats: Annotated[int, typer.Option(help="Samples per batch size.")] = 30,
    load_requests: Annotated[int, typer.Option(help="Requests at each of three loads.")] = 300,
    body: Annotated[
        list[Path] | None, typer.Option(help="A file with a request's body; several take turns.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The profile's file; SERVICE.profile.yaml by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the arrivals at each load.")] = 0,
) -> None:
    """Measure a running model server over HTTP and write its profile."""
    from markopt.launch import launch_profile

    launch_profile(
        url,
        service=service,
        platform=platform,
        batch_sizes=batch_sizes,
        wait_ms=wait_ms,
        repeats=repeats,
        load_requests=load_requests,
        body=body or [],
        output=output,
        seed=seed,
    )


@app.command()
def plan(
    problem: Annotated[Path, typer.Option(help="A problem as JSON; '-' reads standard input.")],
    planner: Annotated[str, typer.Option(help="An option of the config group 'planner'.")] = (
        "program"
    ),
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings, such as planner.headroom=1.1.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say what limits the decision, what else there is and what could change it: as "
            "text on standard error, and under 'explanation' in the JSON.",
        ),
    ] = False,
) -> None:
    """Make one decision: a problem in, a plan out, both as JSON."""
    from markopt.decision import launch_plan

    launch_plan(problem, planner, overrides or [], explained=explain)


@app.command()
def replay(
    journal: Annotated[Path, typer.Argument(help="The journal of a deployment.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings of the other planner.")
    ] = None,
    other: Annotated[
        str | None,
        typer.Option("--with", help="What planner=NAME would have done, decision by decision."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Build planners that are not markopt's own.")
    ] = False,
) -> None:
    """Make every plan of a journal again; exit code 1 where one comes out otherwise."""
    from markopt.deployment.replay.launch import launch_replay

    code = launch_replay(journal, other, overrides or [], as_json=as_json, trusted=trust)
    raise typer.Exit(code)


@app.command()
def top(
    journal: Annotated[Path, typer.Argument(help="The journal of a deployment.")],
    once: Annotated[bool, typer.Option("--once", help="One frame, and stop.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write one frame as an image, and stop.")] = None,
) -> None:
    """Watch a deployment: load, fleet, spill, attainment, bill, the last decision and why."""
    from markopt.deployment.watching.top import show_top

    show_top(journal, once=once, svg=svg)


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(help="A result folder of run, compare, characterize or backtest.")
    ],
    explain: Annotated[
        int | None,
        typer.Option(
            help="Explain so many of the run's saved problems first, the dearest decisions."
        ),
    ] = None,
) -> None:
    """Rebuild report.html from a folder's result files."""
    from markopt.evaluation.report import report_folder

    if explain is not None:
        from markopt.decision import explain_folder

        explain_folder(folder, explain)
    typer.echo(str(report_folder(folder)))


@app.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="A folder with results, such as a sweep's.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The table's file; FOLDER/collected.parquet if none."),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(help="Print what this query answers; the table is called 'jobs'."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the answer as CSV.")] = False,
) -> None:
    """Collect every episode below a folder into one Parquet table, or query it."""
    from markopt.launch import launch_collect

    launch_collect(folder, output, sql, as_csv=as_csv)


@data_app.command("check")
def data_check(
    file: Annotated[Path, typer.Argument(help="A trace: CSV or gzipped CSV.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Look for dirty data in a trace: gaps, silences, counters, copies, changes of unit."""
    from markopt.workload.quality.listing import check_file, findings_json, findings_table

    trace, findings = check_file(file)
    if as_json:
        typer.echo(findings_json(str(file), trace, findings))
        return
    from rich.console import Console

    Console().print(findings_table(str(file), trace, findings))


@app.command()
def version() -> None:
    """Print the version."""
    from markopt import __version__

    typer.echo(__version__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 done, 2 bad input, 3 infeasible or 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(args=given, prog_name="markopt", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else ConfigError.exit_code
    except Exception as error:
        text, code = _explain(error)
        if text is None:
            raise
        return _fail(text, code)
    if code == INTERRUPTED:  # Typer, too, turns Ctrl-C into this code
        return _fail("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _terminate(number: int, _: object) -> None:
    """End as an exception does, so that half-written folders are removed."""
    raise SystemExit(128 + number)


def _explain(error: Exception) -> tuple[str | None, int]:
    """Return a line for the user and the exit code; no line for what is a fault of markopt."""
    if isinstance(error, MarkoptError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        reason = error.strerror or type(error).__name__
        return f"{error.filename}: cannot be read or written: {reason}", DataError.exit_code
    # Typer carries its own copy of Click, whose errors have no public name there.
    usage_error = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    if isinstance(error, usage_error):
        text = error.format_message()  # type: ignore[attr-defined]
        return text or "expected a command; see markopt --help", ConfigError.exit_code
    return None, 1


def _fail(text: str, code: int) -> int:
    typer.echo(f"markopt: {' '.join(text.split())}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
