"""What the commands of ``markopt`` do that take overrides or measure: one module each."""

from markopt.launch.backtest import launch_backtest
from markopt.launch.characterization import launch_characterize
from markopt.launch.collection import launch_collect
from markopt.launch.comparison import launch_compare
from markopt.launch.episode import launch_run
from markopt.launch.profiling import launch_profile

__all__ = [
    "launch_backtest",
    "launch_characterize",
    "launch_collect",
    "launch_compare",
    "launch_profile",
    "launch_run",
]
