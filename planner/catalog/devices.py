"""Devices: peaks, bandwidths, memory, links and prices, each with its source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.catalog.provenance import GIVEN, Origin
from planner.errors import InputError
from planner.spec import Spec
from planner.units import Bandwidth, ComputeRate, Count, Power, Price, Size

#: Data types that a device may have an arithmetic peak for.
PeakDtype = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp4"]
#: Columns of the catalogue's prices.
PriceName = Literal["low", "aws", "azure", "high"]


class Link(Spec):
    """What joins the devices of a node.

    Parameters
    ----------
    name : str
        E.g. ``NVLink4``.
    bandwidth : float
        Per device and direction. [B/s]
    devices : int
        Devices that it joins, >= 1.
    """

    name: Annotated[str, Field(min_length=1)] = "link"
    bandwidth: Bandwidth
    devices: Count = 8


class Device(Spec):
    """One accelerator or CPU node, as the catalogue or a user describes it.

    Parameters
    ----------
    name : str
        Name in the catalogue, or anything for a device of your own.
    kind : {"gpu", "tpu", "cpu"}
        What it is: on a CPU an engine keeps no memory for CUDA graphs and the CUDA context.
    memory : float, optional
        Memory as the serving engine sees it, which is less than the nominal size. [B]
    bandwidth : float
        Peak memory bandwidth. [B/s]
    peaks : dict of str to float
        Peak arithmetic rate by data type, dense. [FLOP/s]
    link : Link, optional
        Link to the other devices of its node.
    host_bandwidth : float, optional
        From the host's memory, one direction; a cold start loads weights no faster. [B/s]
    power : float, optional
        Thermal design power, for the fleet's electrical load. [W]
    prices : dict of str to float
        US dollars per device and hour by price column. [$/h]
    origins : dict of str to Origin
        Where each number comes from, by key path such as ``peaks.bf16``.
    """

    name: Annotated[str, Field(min_length=1)] = "inline device"
    kind: Literal["gpu", "tpu", "cpu"] = "gpu"
    memory: Size | None = None
    bandwidth: Bandwidth
    peaks: dict[PeakDtype, ComputeRate]
    link: Link | None = None
    host_bandwidth: Bandwidth | None = None
    power: Power | None = None
    prices: dict[PriceName, Price] = Field(default_factory=dict)
    origins: dict[str, Origin] = Field(default_factory=dict)

    def origin(self, path: str) -> Origin:
        """Return where the number at key `path` comes from; :data:`GIVEN` where it is not said."""
        return self.origins.get(path, GIVEN)

    def price(self, name: PriceName) -> float:
        """Return the price column `name` in US dollars per device and hour.

        Raises
        ------
        InputError
            If the device has no such price.
        """
        if name not in self.prices:
            known = ", ".join(f"{key} (${value:g}/h)" for key, value in self.prices.items())
            raise InputError(
                f"device {self.name!r} has no price {name!r}; it has: {known or 'none'}; "
                "write a price such as '$2.5/h'"
            )
        return self.prices[name]
