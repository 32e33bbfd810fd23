"""What a bundle of a family's policy calls things."""

from __future__ import annotations

from sim2real.envs.bandits import Bandits
from sim2real.envs.dynamics import PARAMETERS
from sim2real.envs.fetch_family import FetchDynamics
from sim2real.envs.half_cheetah import HalfCheetah
from sim2real.envs.navigation import Navigation
from sim2real.meta_rl_types import interface_of


def test_a_family_that_says_nothing_has_numbered_elements_told_by_the_task() -> None:
    interface = interface_of(Navigation(unit_actions=False))
    (term,) = interface.terms
    assert (term.source, [e.name for e in term.elements]) == ("task", ["observation_0", "observation_1"])
    task = interface.task
    assert ([e.name for e in task.action], task.action_scale) == (["action_0", "action_1"], (0.1, 0.1))
    assert (task.horizon, task.control_dt, task.goal, interface.simulated) == (100, 1.0, (), False)


def test_choices_are_on_the_scale_of_one() -> None:
    task = interface_of(Bandits(3)).task
    assert [e.name for e in task.action] == ["choice_0", "choice_1", "choice_2"]
    assert task.action_scale == (1.0,) * 3 and task.action_offset == (0.0,) * 3


def test_bodies_have_sensors_and_a_period() -> None:
    interface = interface_of(HalfCheetah())
    assert interface.task.control_dt == 0.01 and interface.terms[0].source == "sensor"


def test_fetch_dynamics_has_the_interface_of_its_robot() -> None:
    family = FetchDynamics(threads=1)
    interface = interface_of(family)
    assert [term.name for term in interface.terms] == ["observation", "desired_goal"]
    assert sum(len(term.elements) for term in interface.terms) == family.task.observation
    assert interface.task.name == "FetchReach" and interface.simulated
    assert interface.delays["observation"] == (0.0, 40.0)
    assert interface.parameters == tuple(p.name for p in PARAMETERS)
