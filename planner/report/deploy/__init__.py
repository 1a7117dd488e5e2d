"""What to deploy: a scenario's fleet as vLLM's command line, Kubernetes manifests or compose."""

from planner.report.deploy.targets import TARGETS, export

__all__ = ["TARGETS", "export"]
