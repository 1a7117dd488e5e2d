"""docker compose: each replica with devices of its own, and nginx in front of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.errors import InputError, Problem
from planner.report.deploy.images import hardware_of
from planner.report.deploy.kubernetes import PORT
from planner.report.deploy.text import Written, block, resource_name, yaml_text

if TYPE_CHECKING:
    from planner.report.deploy.images import Hardware
    from planner.report.deploy.serve import Deployment

#: Most devices of a compose file: it describes one machine.
MOST_DEVICES = 64
#: Image of the load balancer.
NGINX = "nginx:stable"
#: How nginx routes in place of a router; round robin where it is empty.
ROUTING = {
    "round_robin": "",
    "random": "random;",
    "power_of_two": "random two least_conn;",
    "least_outstanding": "least_conn;",
    "session_affinity": "hash $http_x_session_id consistent;",
    "least_kv": "least_conn;",
}


def compose_text(made: Deployment) -> Written:
    """Return the file, ready for ``docker compose -f FILE up``, and what it cannot say.

    Raises
    ------
    InputError
        If there are more devices than one machine has, or none that a container can have.
    """
    fleet = made.system.fleet
    hardware = hardware_of(made.system.device)
    if hardware is None:
        message = "must be GPUs or CPUs for compose, got a TPU; export to vllm instead"
        raise InputError(Problem(message, "fleet.device"))
    if fleet.devices > MOST_DEVICES:
        message = (
            f"must have at most {MOST_DEVICES} devices for compose, which describes one machine, "
            f"got {fleet.devices:,}; export to k8s instead"
        )
        raise InputError(Problem(message, "fleet.replicas"))
    names = [f"vllm-{k}" if fleet.replicas > 1 else "vllm" for k in range(fleet.replicas)]
    services = {name: _replica(made, hardware, k) for k, name in enumerate(names)}
    document: dict[str, Any] = {"name": resource_name(made.scenario.name), "services": services}
    if fleet.replicas > 1:
        services["router"] = _router(names)
        content = _nginx(names, fleet.router.kind)
        document["configs"] = {"router": {"content": block(_literal(content))}}
    else:
        services["vllm"]["ports"] = [f"{PORT}:{PORT}"]
    document["volumes"] = {"models": {}}
    return Written([*hardware.notices, *_notices(made)], yaml_text([document]))


def _notices(made: Deployment) -> list[str]:
    fleet, device = made.system.fleet, made.system.device
    said = []
    if device.link is not None and fleet.devices > device.link.devices:
        said.append(
            f"{fleet.devices} devices in one machine, where a node has {device.link.devices}"
        )
    if fleet.replicas > 1 and fleet.router.kind == "session_affinity":
        said.append("clients must send the name of their conversation in a header X-Session-Id")
    if fleet.replicas > 1 and fleet.router.kind == "least_kv":
        said.append("nginx routes by outstanding requests in its place")
    if fleet.autoscaler is not None:
        said.append("compose has no autoscaler: it runs the replicas at the start")
    return said


def _replica(made: Deployment, hardware: Hardware, k: int) -> dict[str, Any]:
    fleet = made.system.fleet
    width = fleet.tensor_parallel * fleet.pipeline_parallel
    ids = [str(each) for each in range(k * width, (k + 1) * width)]
    check = f"import urllib.request as u; u.urlopen('http://localhost:{PORT}/health')"
    service: dict[str, Any] = {
        "image": hardware.image,
        "entrypoint": ["vllm", "serve"],
        "command": [_literal(each) for each in made.args],
        "environment": {"HF_TOKEN": "${HF_TOKEN:-}"},
        "volumes": ["models:/root/.cache/huggingface"],
        "ipc": "host",
        "restart": "unless-stopped",
        "healthcheck": {
            "test": ["CMD", "python3", "-c", check],
            "interval": "10s",
            "start_period": "60m",
        },
    }
    if hardware.vendor == "nvidia":
        wanted = {"driver": "nvidia", "device_ids": ids, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [wanted]}}}
    elif hardware.vendor == "amd":
        service["devices"] = ["/dev/kfd", "/dev/dri"]
        service["environment"]["HIP_VISIBLE_DEVICES"] = ",".join(ids)
    return service


def _router(names: list[str]) -> dict[str, Any]:
    return {
        "image": NGINX,
        "ports": [f"{PORT}:{PORT}"],
        "configs": [{"source": "router", "target": "/etc/nginx/conf.d/default.conf"}],
        "depends_on": {name: {"condition": "service_healthy"} for name in names},
    }


def _nginx(names: list[str], kind: str) -> str:
    """Return the configuration of nginx; answers are handed on as they stream."""
    routing = f"    {ROUTING[kind]}\n" if ROUTING[kind] else ""
    servers = "".join(f"    server {name}:{PORT};\n" for name in names)
    return (
        f"upstream replicas {{\n{routing}{servers}}}\n"
        f"server {{\n    listen {PORT};\n    location / {{\n"
        "        proxy_pass http://replicas;\n        proxy_buffering off;\n"
        "        proxy_read_timeout 1h;\n        client_max_body_size 0;\n    }\n}\n"
    )


def _literal(text: str) -> str:
    """Return text in which compose finds no variable to fill in."""
    return text.replace("$", "$$")
