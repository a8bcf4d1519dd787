"""What ``markopt run``, ``compare``, ``characterize`` and ``backtest`` do with their overrides."""

from markopt.launch.backtest import launch_backtest
from markopt.launch.characterization import launch_characterize
from markopt.launch.comparison import launch_compare
from markopt.launch.episode import launch_run

__all__ = ["launch_backtest", "launch_characterize", "launch_compare", "launch_run"]
