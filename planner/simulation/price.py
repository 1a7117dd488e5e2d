"""What a replica costs and how much electricity its devices may draw."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from planner.catalog.catalogue import find_device
from planner.catalog.provenance import GIVEN, SourcedNumber
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.catalog.devices import Device
    from planner.scenario.fleet import Fleet


class ReplicaPrice(NamedTuple):
    """Of one replica.

    Parameters
    ----------
    usd_per_hour : float or None
        Price of its devices; None where it is not known. [$/h]
    watts : float or None
        Thermal design power of its devices; None where it is not known. [W]
    device : SourcedNumber or None
        Price of one device and where it comes from.
    """

    usd_per_hour: float | None
    watts: float | None
    device: SourcedNumber | None


def replica_price(fleet: Fleet, device: Device | None = None) -> ReplicaPrice:
    """Return price and power of one replica of `fleet`.

    Parameters
    ----------
    fleet : Fleet
        As the scenario has it. Without a price it is the lowest that the device is known to have.
    device : Device, optional
        Its device, where that has been looked up already.

    Raises
    ------
    InputError
        If the device is not known or has no price of the column asked for.
    """
    if device is None:
        device = find_device(fleet.device) if isinstance(fleet.device, str) else fleet.device
    devices = fleet.tensor_parallel * fleet.pipeline_parallel
    watts = None if device.power is None else device.power * devices
    each = _device_price(fleet, device)
    return ReplicaPrice(None if each is None else each.value * devices, watts, each)


def _device_price(fleet: Fleet, device: Device) -> SourcedNumber | None:
    """Return what one device costs."""
    unit = "$/h per device"
    if isinstance(fleet.price, float):
        return SourcedNumber("price", fleet.price, unit, GIVEN.provenance, GIVEN.source)
    column = fleet.price
    if column is None:
        if not device.prices:
            return None
        column = min(device.prices.items(), key=lambda item: item[1])[0]
    try:
        price = device.price(column)
    except InputError as error:
        raise InputError([replace(p, path="fleet.price") for p in error.problems]) from error
    origin = device.origin(f"prices.{column}")
    return SourcedNumber(f"price {column}", price, unit, origin.provenance, origin.source)
