"""What others measured: results of load generators, start logs and metrics of engines."""
