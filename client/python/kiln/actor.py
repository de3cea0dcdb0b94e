"""Actors, under Ray's name for the module: `ray.actor`."""

from kiln._actor import ActorClass, CppActorClass
from kiln._actor_handle import ActorHandle, ActorMethod
from kiln._actor_options import ActorOptions, MethodOptions
from kiln._current_actor import exit_actor

__all__ = ["ActorClass", "ActorHandle", "ActorMethod", "ActorOptions", "CppActorClass",
           "MethodOptions", "exit_actor"]
