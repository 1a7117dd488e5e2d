"""What the catalogue calls devices that their drivers name otherwise."""

from __future__ import annotations

#: Names in the catalogue of accelerators as their drivers name them.
CATALOGUE_NAMES = {
    "NVIDIA H100 80GB HBM3": "H100-SXM-80GB",
    "NVIDIA H200": "H200-SXM-141GB",
    "NVIDIA A100-SXM4-80GB": "A100-SXM-80GB",
    "NVIDIA A100-SXM4-40GB": "A100-SXM-40GB",
    "NVIDIA A100 80GB PCIe": "A100-PCIe-80GB",
    "NVIDIA B200": "B200-SXM-180GB",
}
