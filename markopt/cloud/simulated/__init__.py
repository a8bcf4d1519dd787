"""The simulated cloud - life cycles and bills around the request engine."""
