"""What a report says about each kind of result."""
