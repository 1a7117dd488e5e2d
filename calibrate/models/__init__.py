"""Real models in memory: built or loaded, and run step by step."""
