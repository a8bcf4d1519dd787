"""Forecasters of the arrival rate, all as joint sample paths."""
