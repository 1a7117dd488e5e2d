"""The search for what to buy: candidates, bounds, evaluation, racing, the recommendation."""
