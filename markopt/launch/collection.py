"""``markopt collect``: the episodes below a folder as one table, to keep or to query."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from markopt.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "jobs"
"""The table's name in SQL."""


def launch_collect(folder: Path, output: Path | None, sql: str | None, *, as_csv: bool) -> None:
    """Collect, then write the table, or print what a query of it answers.

    Raises:
        DataError: there is nothing to collect, or the table cannot be written.
        ConfigError: the query is wrong or missing, or DuckDB is not installed.
    """
    from markopt.evaluation.collection import COLLECTED, collect, write_collection

    if as_csv and sql is None:
        raise ConfigError("--csv: prints the answer of a query, which --sql asks; none is given")
    collection = collect(folder)
    for text in collection.warnings:
        typer.echo(f"markopt: warning: {text}", err=True)
    if output is not None or sql is None:
        path = output or folder / COLLECTED
        write_collection(collection, path)
        rows, columns = collection.table.shape
        typer.echo(f"{path}: {rows} jobs, {columns} columns", err=sql is not None)
    if sql is not None:
        names, found = query(collection.table, sql)
        _print(names, found, as_csv=as_csv)


def query(table: pa.Table, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return column names and rows of what DuckDB answers; the table is called ``jobs``.

    Raises:
        ConfigError: the query is wrong, or DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise ConfigError("--sql: needs DuckDB: pip install 'markopt[query]'") from None
    with duckdb.connect() as connection:
        connection.register(TABLE, table)
        try:
            answer = connection.execute(sql)
            names = [entry[0] for entry in answer.description or []]
            return names, answer.fetchall()
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"--sql: {reason}") from None


def _print(names: list[str], rows: list[tuple[Any, ...]], *, as_csv: bool) -> None:
    if as_csv:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerows([names, *rows])
        typer.echo(buffer.getvalue(), nl=False)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    numeric = [all(isinstance(row[at], int | float) for row in rows) for at in range(len(names))]
    for name, number in zip(names, numeric, strict=True):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    needed = Console(width=10_000).measure(table).maximum
    console = Console()
    (console if console.width >= needed else Console(width=needed)).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
