"""Which exceptions are worth another attempt."""

from __future__ import annotations

from typing import Any


class RetryOnly:
    """A function of which only some exceptions are."""

    def __init__(self, function: Any, kinds: tuple[type, ...]) -> None:
        self._function = function
        self._kinds = kinds

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._function(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, self._kinds):
                raise
            error.__dict__["_kiln_final"] = True
            raise
