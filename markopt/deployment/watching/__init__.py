"""Watching a deployment: metrics for Prometheus, structured logs, a live view of the terminal."""
