"""Containers of vLLM by hardware: image, resource, and how compose gives it devices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from planner.report.deploy.record import recorded_flags

if TYPE_CHECKING:
    from planner.catalog.devices import Device

#: Names of AMD's accelerators.
_AMD = re.compile(r"(amd[ -])?(instinct[ -])?mi\d", re.IGNORECASE)


class Hardware(NamedTuple):
    """How a container gets a kind of device.

    Parameters
    ----------
    vendor : {"nvidia", "amd", "cpu"}
        Whose it is.
    image : str
        Image with vLLM for it.
    resource : str or None
        Kubernetes' name of one device; None for a CPU.
    notices : tuple of str
        What to look at.
    """

    vendor: str
    image: str
    resource: str | None
    notices: tuple[str, ...]


def hardware_of(device: Device) -> Hardware | None:
    """Return how a container gets `device`; None for a TPU, which needs another distribution.

    Parameters
    ----------
    device : Device
        From the catalogue or written out.
    """
    tag = f"v{recorded_flags()['version']}"
    if device.kind == "tpu":
        return None
    if device.kind == "cpu":
        image = f"public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:{tag}"
        what = "give the container the cores and the memory of the node"
        return Hardware("cpu", image, None, (what,))
    if _AMD.match(device.name):
        image = f"vllm/vllm-openai-rocm:{tag}"
        what = "the image is vLLM's build for ROCm: check that this version of it is published"
        return Hardware("amd", image, "amd.com/gpu", (what, _where(device)))
    return Hardware("nvidia", f"vllm/vllm-openai:{tag}", "nvidia.com/gpu", (_where(device),))


def _where(device: Device) -> str:
    return f"devices are taken to be {device.name}: run it on nodes that have these"
