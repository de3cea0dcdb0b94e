"""Ray's name for where PlacementGroupSchedulingStrategy is."""

from kiln.util.placement_group import PlacementGroupSchedulingStrategy

__all__ = ["PlacementGroupSchedulingStrategy"]
