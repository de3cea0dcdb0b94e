"""The actors that can be found by name."""

from __future__ import annotations

from typing import Any

from kiln import _api, _session


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """The names that get_actor finds.

    Args:
        all_namespaces: Of all programs, and not only of this one's namespace.

    Returns:
        Names in ascending order; with all_namespaces dicts: {"name": ..., "namespace": ...}.
    """
    rows = _api._ask("list", "actors", "--limit", "100000")
    rows = rows["actors"] if isinstance(rows, dict) else rows
    named = sorted((row.get("namespace", ""), row["name"]) for row in rows
                   if row.get("name") and row["state"] != "DEAD")
    if all_namespaces:
        return [{"name": name, "namespace": namespace} for namespace, name in named]
    return [name for namespace, name in named if namespace == _session.namespace_or(None)]
