"""A network with dropout, which acts otherwise in training."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class Drops(BaseFeaturesExtractor):
    """Hands on an observation, of which dropout drops a reading or two in training."""

    def __init__(self, observation_space: gym.Space) -> None:
        super().__init__(observation_space, 3)
        self.dropout = torch.nn.Dropout(0.4)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.dropout(observations)
