"""A wrapper that the user's own wrappers and masks do not notice between them and their environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from stable_baselines3.common.monitor import Monitor


class Unseen(gym.Wrapper):
    """Passes on every attribute that it has not itself, so that code around it works as if it were not there.

    Wrappers of Gymnasium pass on no attributes. What reads or sets one of the environment, such as
    ``ActionMasker(env, lambda env: env.masks)``, works around the environment itself, and has to work here. What is
    missing is said to be missing in the environment. A Monitor directly inside is passed over, too.

    A subclass has to call :meth:`hide` at the end of its constructor; the attributes that it has by then are its own.
    """

    def hide(self) -> None:
        """From now on, set no further attributes on this wrapper, but on what is inside it."""
        self._hidden = True

    def __getattr__(self, name: str) -> Any:
        if "env" not in self.__dict__ or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            return self.env.get_wrapper_attr(name)
        except AttributeError:
            said = f"{type(self.unwrapped).__name__!r} object has no attribute {name!r}"
            raise AttributeError(said, name=name, obj=self.unwrapped) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            self.__dict__[name] = value
        elif "_hidden" not in self.__dict__ or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            setattr(self.env.env if isinstance(self.env, Monitor) else self.env, name, value)

    def get_wrapper_attr(self, name: str) -> Any:
        return getattr(self, name)

    def __str__(self) -> str:
        return str(self.env)
