"""Standalone HTML reports, built from result files alone."""

from markopt.evaluation.report.page import (
    report_folder,
    write_backtest_report,
    write_characterization_report,
    write_comparison_report,
    write_report,
)

__all__ = [
    "report_folder",
    "write_backtest_report",
    "write_characterization_report",
    "write_comparison_report",
    "write_report",
]
