"""How long a step or a stage takes, and what fits into memory."""
