"""Request traces and arrival processes."""
