"""Episodes, comparisons, metrics and reports."""
