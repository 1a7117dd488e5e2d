"""What a replica costs and how much electricity its devices may draw."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from planner.catalog.catalogue import find_device
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.catalog.devices import Device
    from planner.scenario.fleet import Fleet


class ReplicaPrice(NamedTuple):
    """Of one replica.

    Parameters
    ----------
    usd_per_hour : float
        Price of its devices. [$/h]
    watts : float or None
        Thermal design power of its devices; None where it is not known. [W]
    """

    usd_per_hour: float
    watts: float | None


def replica_price(fleet: Fleet, device: Device | None = None) -> ReplicaPrice:
    """Return price and power of one replica of `fleet`.

    Parameters
    ----------
    fleet : Fleet
        As the scenario has it.
    device : Device, optional
        Its device, where that has been looked up already.

    Raises
    ------
    InputError
        If the device is not known or has no such price.
    """
    if device is None:
        device = find_device(fleet.device) if isinstance(fleet.device, str) else fleet.device
    devices = fleet.tensor_parallel * fleet.pipeline_parallel
    try:
        each = device.price(fleet.price) if isinstance(fleet.price, str) else fleet.price
    except InputError as error:
        raise InputError([replace(p, path="fleet.price") for p in error.problems]) from error
    watts = None if device.power is None else device.power * devices
    return ReplicaPrice(each * devices, watts)
