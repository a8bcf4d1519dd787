"""The compiled request-level kernel - no clouds, no policies."""
