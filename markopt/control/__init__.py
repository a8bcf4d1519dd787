"""The loop that observes, forecasts, plans and applies."""
