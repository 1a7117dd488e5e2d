"""What to deploy: a scenario's fleet as vLLM's command line, Kubernetes manifests or compose."""

from planner.report.deploy.targets import TARGETS, Exported, export

__all__ = ["TARGETS", "Exported", "export"]
