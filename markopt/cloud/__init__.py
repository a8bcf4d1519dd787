"""Backends that a controller drives."""
