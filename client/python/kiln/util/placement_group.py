"""Resources that are reserved together: Ray's placement groups, on one machine.

    pg = placement_group([{"CPU": 1}, {"CPU": 1, "disk": 2}])
    kiln.get(pg.ready())
    strategy = PlacementGroupSchedulingStrategy(pg, placement_group_bundle_index=1)
    task.options(scheduling_strategy=strategy).remote()
    remove_placement_group(pg)
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import kiln
from kiln import _session

if TYPE_CHECKING:
    from kiln._kiln import ObjectRef

__all__ = ["PlacementGroup", "PlacementGroupSchedulingStrategy", "placement_group",
           "remove_placement_group"]

_STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


class PlacementGroup:
    """Bundles of resources that are reserved as a whole, or will be.

    Attributes:
        bundle_specs: The bundles, as they were asked for.
    """

    def __init__(self, ref: ObjectRef[Any], bundles: list[dict[str, float]]) -> None:
        self._ref = ref
        self.bundle_specs = bundles

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        return str(self._ref.hex())

    @property
    def bundle_count(self) -> int:
        """How many bundles there are."""
        return len(self.bundle_specs)

    def ready(self) -> ObjectRef[Any]:
        """A ref that is there when all bundles are reserved; get gives None.

        It is an error, TaskUnschedulableError, if they never fit together, or if the group was
        removed before.
        """
        return self._ref

    def wait(self, timeout_seconds: float | None = 30) -> bool:
        """Waits until the bundles are reserved. Returns: False if that took too long."""
        ready, _ = kiln.wait([self._ref], timeout=timeout_seconds)
        if ready:
            kiln.get(ready[0])
        return bool(ready)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id}, {self.bundle_specs})"

    def __reduce__(self) -> Any:
        return PlacementGroup, (self._ref, self.bundle_specs)


class PlacementGroupSchedulingStrategy(NamedTuple):
    """Has a task or an actor run on what a group has reserved.

    Attributes:
        placement_group: The group.
        placement_group_bundle_index: Which bundle; -1: any that has room.
        placement_group_capture_child_tasks: Accepted for Ray's sake, and must be false: what a task
            submits is not in its group.
    """

    placement_group: PlacementGroup
    placement_group_bundle_index: int = -1
    placement_group_capture_child_tasks: bool | None = None


def placement_group(bundles: Sequence[dict[str, float]], strategy: str = "PACK", name: str = "",
                    lifetime: str | None = None) -> PlacementGroup:
    """Asks for bundles of resources, all of them or none; returns at once.

    Args:
        bundles: Amounts by name: "CPU", "memory" in bytes, custom resources.
        strategy: Where to put them; on one machine all strategies are the same, but STRICT_SPREAD of
            more than one bundle, which needs as many machines.
        name: For people; shown by `kiln list`.
        lifetime: "detached": it stays until it is removed; None: until its program ends.

    Raises:
        ValueError: No bundles, an empty one, an amount that is none, an unknown strategy.
    """
    checked = [_check_bundle(bundle) for bundle in bundles]
    if not checked:
        raise ValueError("a placement group needs at least one bundle, such as {'CPU': 1}")
    if strategy not in _STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}; it must be one of {', '.join(_STRATEGIES)}")
    if strategy == "STRICT_SPREAD" and len(checked) > 1:
        raise ValueError("STRICT_SPREAD puts each bundle on a machine of its own, and there is one "
                         "machine; use PACK")
    if lifetime not in (None, "detached"):
        raise ValueError(f'lifetime is {lifetime!r}; it must be "detached" or None')
    ref = _session.current().create_group(
        [(bundle.get("CPU", 0.0), int(bundle.get("memory", 0)),
          {key: amount for key, amount in bundle.items() if key not in ("CPU", "memory")})
         for bundle in checked], name, lifetime == "detached")
    return PlacementGroup(ref, checked)


def _check_bundle(bundle: dict[str, float]) -> dict[str, float]:
    if not isinstance(bundle, dict):
        raise TypeError(f"a bundle is a dict of amounts such as {{'CPU': 1}}, not {bundle!r}")
    for name, amount in bundle.items():
        if isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise TypeError(f"bundle {bundle!r}: {name} must be a number")
        if not (math.isfinite(amount) and amount >= 0):
            raise ValueError(f"bundle {bundle!r}: {name} must be 0 or more")
    kept = {name: float(amount) for name, amount in bundle.items() if amount}
    if not kept:
        raise ValueError(f"bundle {bundle!r} asks for nothing")
    return kept


def remove_placement_group(group: PlacementGroup) -> None:
    """Gives the resources back; tasks and actors that run on them are ended, queued ones fail."""
    if not isinstance(group, PlacementGroup):
        raise TypeError(f"remove_placement_group takes a PlacementGroup, got {type(group).__name__}")
    _session.current().remove_group(group.ready())


class _CallableModule(types.ModuleType):
    """As in Ray, `kiln.util.placement_group` is this module and its function."""

    def __call__(self, *args: Any, **kwargs: Any) -> PlacementGroup:
        return placement_group(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
