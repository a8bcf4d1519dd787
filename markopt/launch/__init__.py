"""What ``markopt run``, ``compare``, ``characterize``, ``backtest`` and ``profile`` do."""

from markopt.launch.backtest import launch_backtest
from markopt.launch.characterization import launch_characterize
from markopt.launch.comparison import launch_compare
from markopt.launch.episode import launch_run
from markopt.launch.profiling import launch_profile

__all__ = [
    "launch_backtest",
    "launch_characterize",
    "launch_compare",
    "launch_profile",
    "launch_run",
]
