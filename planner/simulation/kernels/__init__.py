"""The compiled data plane: flat functions over :class:`planner.simulation.layout.Plane`."""
