"""Registers small environments under ids of Gymnasium's when it is imported, as a job does where it is trusted."""

import gymnasium as gym
from successors import WithContactForces, WithoutContactForces

gym.register("Ant-v4", WithoutContactForces)
gym.register("Humanoid-v4", WithContactForces)
