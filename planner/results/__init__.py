"""What happened and what it means: records, metrics, intervals, attribution."""
