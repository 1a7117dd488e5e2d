"""What a user writes: scenarios as pydantic models, read from YAML with line numbers."""
