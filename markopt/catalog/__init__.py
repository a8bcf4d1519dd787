"""Instance types, function sizes, prices and profiles, validated on load."""
