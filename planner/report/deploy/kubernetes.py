"""Kubernetes: a Deployment, a Service and a HorizontalPodAutoscaler."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from planner.errors import InputError, Problem
from planner.report.deploy.images import hardware_of
from planner.report.deploy.text import Written, resource_name, yaml_text
from planner.scenario.fleet import TargetUtilisation

if TYPE_CHECKING:
    from planner.report.deploy.serve import Deployment

#: Port of vLLM's HTTP server.
PORT = 8000
#: Longest stabilisation window that an autoscaler takes. [s]
LONGEST_WINDOW = 3600
#: A container may take so long to load its weights before it is started again. [s]
PATIENCE = 3600
#: Metrics that an adapter serves to the autoscaler, and how Prometheus has them.
METRICS = {
    "sequences": (
        "vllm_outstanding_requests",
        "vllm:num_requests_running + vllm:num_requests_waiting",
    ),
    "kv_cache": ("vllm_kv_cache_usage", "vllm:kv_cache_usage_perc"),
}


def kubernetes_text(made: Deployment) -> Written:
    """Return the manifests, ready for ``kubectl apply -f``, and what they cannot say.

    Raises
    ------
    InputError
        If the device is none that a container can ask for.
    """
    hardware = hardware_of(made.system.device)
    if hardware is None:
        message = "must be GPUs or CPUs for k8s, got a TPU; export to vllm instead"
        raise InputError(Problem(message, "fleet.device"))
    name = resource_name(made.scenario.name)
    policy, policy_notices = _policy(made)
    documents = [_deployment(made, name, hardware.image, hardware.resource)]
    documents += [_service(made, name), _autoscaler(name, policy, made)]
    return Written([*policy_notices, *hardware.notices, *_router(made)], yaml_text(documents))


def _labels(name: str) -> dict[str, Any]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "vllm"}


def _meta(name: str) -> dict[str, Any]:
    return {"name": name, "labels": _labels(name)}


def _deployment(made: Deployment, name: str, image: str, resource: str | None) -> dict[str, Any]:
    fleet = made.system.fleet
    width = fleet.tensor_parallel * fleet.pipeline_parallel
    probe = {"httpGet": {"path": "/health", "port": "http"}}
    token = {"name": "huggingface", "key": "token", "optional": True}
    container: dict[str, Any] = {
        "name": "vllm",
        "image": image,
        "command": ["vllm", "serve"],
        "args": made.args,
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": token}}],
        "startupProbe": {**probe, "periodSeconds": 10, "failureThreshold": PATIENCE // 10},
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - in the container
            {"name": "models", "mountPath": "/root/.cache/huggingface"},
        ],
    }
    if resource is not None:
        container["resources"] = {"limits": {resource: width}}
    volumes = [
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "models", "emptyDir": {}},
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(name),
        "spec": {
            "replicas": fleet.replicas,
            "selector": {"matchLabels": _labels(name)},
            "template": {
                "metadata": {"labels": _labels(name)},
                # a Service called vllm would set VLLM_PORT, which vLLM reads as its own
                "spec": {
                    "enableServiceLinks": False,
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    }


def _service(made: Deployment, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "selector": _labels(name),
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    }
    if made.system.fleet.router.kind == "session_affinity":
        spec["sessionAffinity"] = "ClientIP"
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name), "spec": spec}


def _router(made: Deployment) -> list[str]:
    """Return how a Service routes, where that is not what was simulated."""
    fleet = made.system.fleet
    kind = fleet.router.kind
    if fleet.replicas == 1 and fleet.autoscaler is None:
        return []
    if kind == "session_affinity":
        return ["the Service keeps each client address, not each conversation, on one replica"]
    if kind == "random":
        return []
    what = f"a Service picks a replica per connection, about at random, not by {kind} as simulated"
    return [f"{what}: put a router in front, as the Gateway API inference extension"]


def _policy(made: Deployment) -> tuple[TargetUtilisation, list[str]]:
    """Return what the autoscaler aims at, and how the metric gets to it."""
    fleet, notices = made.system.fleet, []
    policy = fleet.autoscaler
    if policy is None:
        policy = TargetUtilisation(min_replicas=fleet.replicas, max_replicas=fleet.replicas)
        notices.append(
            f"the scenario has no autoscaler: between {fleet.replicas} and {fleet.replicas} "
            "replicas it keeps the number; raise maxReplicas to let it order more"
        )
    elif policy.measure == "busy":
        notices.append(
            "vLLM has no metric of time spent in steps, the autoscaler's measure as simulated: "
            "outstanding requests over max_num_seqs stand in for it"
        )
    if policy.scale_down_delay > LONGEST_WINDOW:
        notices.append(
            f"scale_down_delay is cut to {LONGEST_WINDOW} s, the most that Kubernetes takes, from "
            f"{policy.scale_down_delay:g} s"
        )
    name, query = METRICS["kv_cache" if policy.measure == "kv_cache" else "sequences"]
    notices.append(
        f"the autoscaler needs the metric {name} of each pod, {query}, from an adapter, as "
        "prometheus-adapter"
    )
    return policy, notices


def _autoscaler(name: str, policy: TargetUtilisation, made: Deployment) -> dict[str, Any]:
    slots = made.system.service.engine.max_num_seqs
    if policy.measure == "kv_cache":
        target = f"{round(1000 * policy.target)}m"
    else:
        target = str(max(1, math.floor(policy.target * slots)))
    metric = METRICS["kv_cache" if policy.measure == "kv_cache" else "sequences"][0]
    window = min(LONGEST_WINDOW, round(policy.scale_down_delay))
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _meta(name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": policy.min_replicas,
            "maxReplicas": policy.max_replicas,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": metric},
                        "target": {"type": "AverageValue", "averageValue": target},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": window}},
        },
    }
