"""markopt: provision machine-learning inference at least cost under a latency SLO."""

__version__ = "0.1.0"
