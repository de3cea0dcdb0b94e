"""Where a task or an actor is to run: options of Ray that name a placement group."""

from __future__ import annotations

from typing import Any

# (id of the group, index of the bundle); see kiln.util.placement_group.
Placement = tuple[int, int]
ANYWHERE: Placement = (0, -1)
# What it is given by.
PLACEMENT_OPTIONS = ("placement_group", "placement_group_bundle_index", "scheduling_strategy")


def take_placement(changes: dict[str, Any]) -> None:
    """Replaces Ray's three options by the one that kiln keeps, `placement`.

    Raises:
        TypeError, ValueError: One of them is none.
    """
    strategy = changes.pop("scheduling_strategy", None)
    given = "placement_group" in changes
    group = changes.pop("placement_group", None)
    index = changes.pop("placement_group_bundle_index", -1)
    if strategy not in (None, "DEFAULT", "SPREAD"):
        if not hasattr(strategy, "placement_group_bundle_index"):
            raise ValueError(f'scheduling_strategy is {strategy!r}; it must be "DEFAULT", "SPREAD" or '
                             f"a PlacementGroupSchedulingStrategy: there is one machine")
        if strategy.placement_group_capture_child_tasks:
            raise ValueError("placement_group_capture_child_tasks: kiln does not put what a task "
                             "submits into its group; name the group where it is submitted")
        given, group, index = True, strategy.placement_group, strategy.placement_group_bundle_index
    if not given and strategy is None:
        return
    if group in (None, "default"):
        changes["placement"] = ANYWHERE
        return
    if not hasattr(group, "bundle_specs"):
        raise TypeError(f"placement_group is {group!r}; it must be a PlacementGroup")
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f"placement_group_bundle_index is {index!r}; it must be a whole number")
    if not -1 <= index < len(group.bundle_specs):
        raise ValueError(f"placement_group_bundle_index is {index}; the group has "
                         f"{len(group.bundle_specs)} bundles")
    changes["placement"] = (int(group.id, 16), index)
