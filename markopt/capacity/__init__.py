"""From profiles to offers - batching, saturation throughput, and the fleet factor."""
