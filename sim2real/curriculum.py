"""What may be easier, or stricter, about training episodes than about the task itself."""

from __future__ import annotations

from dataclasses import dataclass

from sim2real.errors import at_least


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """How training episodes differ from the task's own; evaluation never has any of it.

    Raises:
        ValueError: a share outside its range, a negative number of episodes.
    """

    near_starts: float = 0.0
    """Share of episodes that begin almost in touch with the object or holding it (exploring starts)."""
    tolerance: float = 1.0
    """Share of the task's success distance within which the reward is 0. Below 1, a policy aims at the middle and not
    at the rim, from where noise and sliding take the object out again; success is judged as before."""
    nominal_episodes: int = 0
    """Episodes under nominal dynamics before they widen: where a task is hard to begin with."""
    widen_episodes: int = 0
    """Episodes over which the dynamics then grow from nominal to the full set; 0: at once."""

    def __post_init__(self) -> None:
        at_least(self, 0, "nominal_episodes", "widen_episodes")
        if not 0.0 <= self.near_starts <= 1.0:
            raise ValueError(f"near_starts is a share in [0, 1], got {self.near_starts}")
        if not 0.0 < self.tolerance <= 1.0:
            raise ValueError(f"tolerance has to be above 0 and at most 1, got {self.tolerance}")

    def width(self, episode: int) -> float:
        """How far an episode's dynamics are on the way from nominal (0) to the full set (1)."""
        since = episode - self.nominal_episodes
        if since >= self.widen_episodes:
            return 1.0
        return max(0.0, since / self.widen_episodes) if self.widen_episodes else 0.0


TASK_ITSELF = Curriculum()
"""No difference."""
