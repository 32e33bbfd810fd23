"""A stable-baselines3 or sb3-contrib model as a policy of ours: one that can be evaluated, compared and exported.

What acts is taken out of the model (no critics, no exploration noise) and put behind the interface of
`sim2real.export.ExportablePolicy`: raw observations in, actions in [-1, 1] out, memory in and out. VecNormalize is
folded in, in double precision as it computes itself. Before such a policy is handed over, it is held against the
library's own ``model.predict(deterministic=True)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sim2real.foreign import ForeignError, ForeignModel
from sim2real.foreign_interface import Interface, Place
from sim2real.operations import Operation, mlp, operation
from sim2real.types import FloatArray, Obs, Term

TOLERANCE = 1e-6
"""Largest difference from ``model.predict``, actions in [-1, 1]."""


class Standardize(nn.Module):
    """``clip((x - mean) / std, -limit, limit)`` over [..., D], in double precision; float32 out.

    In single precision ``x - mean`` of a reading that hardly varies, such as a height of 0.42 +- 0.0001 m, would lose
    most of its digits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: NDArray[Any], std: NDArray[Any], limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.from_numpy(np.array(mean, np.float64).reshape(-1)))
        self.register_buffer("std", torch.from_numpy(np.array(std, np.float64).reshape(-1)))

    def forward(self, x: Tensor) -> Tensor:
        return ((x.double() - self.mean) / self.std).clamp(-self.limit, self.limit).float()

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """This module for the NumPy backend; its tensors start with ``prefix``."""
        tensors = {key: f"{prefix}.{key}" for key in ("mean", "std")}
        return [operation("normalise", [source], [result], **tensors, clip=self.limit)]


class ForeignPolicy(nn.Module):
    """The deterministic actor of a model, with its normalisation: raw observation in, action in [-1, 1] out."""

    def __init__(self, source: ForeignModel, interface: Interface) -> None:
        super().__init__()
        self.spec = interface.task
        self.places = _places(source, interface)
        used = {place.term for place in self.places.values()}
        self.terms = tuple(term for term in interface.terms if term.name in used)
        self.shapes = {key: space.shape for key, space in source.observation_spaces.items()}
        self.reads_dict = source.reads_dict
        statistics = source.statistics()
        self.normalize = nn.ModuleList(
            Standardize(s.mean, s.std, s.limit) if (s := statistics.get(key)) else nn.Identity() for key in self.places
        )
        self.extractor, self.lstm, self.head = _network(source)
        self.bound = _bound(source)
        self.requires_grad_(False).eval()

    def input_terms(self) -> tuple[Term, ...]:
        """The arguments of `step` before the state; the names are keys of `Obs`."""
        return self.terms

    def export_state_names(self) -> tuple[str, ...]:
        """``("h", "c")`` for RecurrentPPO, else none."""
        return () if self.lstm is None else ("h", "c")

    def zero_state_tensors(self, n: int) -> tuple[Tensor, ...]:
        """Memory of n environments at the start of an episode, each [layers, n, H]."""
        if self.lstm is None:
            return ()
        shape = (self.lstm.num_layers, n, self.lstm.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)

    def initial_state(self, n: int) -> tuple[Tensor, ...]:
        return self.zero_state_tensors(n)

    def step(self, *inputs: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """[n, D] for each of `input_terms`, then the memory -> action [n, A] in [-1, 1] and the next memory."""
        *arguments, state = inputs
        terms = {term.name: argument for term, argument in zip(self.terms, arguments, strict=True)}
        entries = [
            normalize(terms[place.term][:, place.start : place.stop]).float()
            for place, normalize in zip(self.places.values(), self.normalize, strict=True)
        ]
        features = self._features(entries)
        if self.lstm is not None:
            output, state = self.lstm(features[None], state)
            features = output[0]
        action = self.head(features)
        return action if self.bound is None else self.bound(action), tuple(state)

    def _features(self, entries: list[Tensor]) -> Tensor:
        if self.extractor is None:
            return torch.cat(entries, 1)
        shaped = {
            key: entry.reshape(-1, *shape) for (key, shape), entry in zip(self.shapes.items(), entries, strict=True)
        }
        features: Tensor = self.extractor(shaped if self.reads_dict else shaped["observation"])
        return features

    def network(self) -> list[Operation] | None:
        """`step` as a list of operations, for the NumPy backend; None where a part is none of those it knows."""
        if self.extractor is not None or (self.lstm is not None and self.lstm.num_layers > 1):
            return None
        features = "features" if self.lstm is None else "output"
        try:
            head = mlp(self.head, "head", features, "unbounded" if self.bound is not None else "action")
        except TypeError:
            return None
        bound = [] if self.bound is None else self.bound.operations("bound", "unbounded", "action")
        return [*self._inputs(), *self._memory(), *head, *bound]

    def _inputs(self) -> list[Operation]:
        """The model's observation, normalised, as one vector ``features``."""
        entries = []
        for number, (place, normalize) in enumerate(zip(self.places.values(), self.normalize, strict=True)):
            name = f"entry_{number}"
            entries.append(operation("part", [place.term], [name], start=place.start, stop=place.stop))
            if isinstance(normalize, Standardize):
                entries += normalize.operations(f"normalize.{number}", name, name)
        return [*entries, operation("concat", [f"entry_{n}" for n in range(len(self.places))], ["features"])]

    def _memory(self) -> list[Operation]:
        if self.lstm is None:
            return []
        weights = {f"{key}_{side}": f"lstm.{key}_{side}_l0" for key in ("weight", "bias") for side in ("ih", "hh")}
        return [operation("lstm", ["features", "h_in", "c_in"], ["output", "h_out", "c_out"], **weights)]

    @torch.no_grad()
    def act(self, obs: Obs, state: tuple[Tensor, ...], *, deterministic: bool) -> tuple[FloatArray, tuple[Tensor, ...]]:
        """See `Policy.act`; always deterministic. Observations in double precision are normalised in it."""
        inputs = [torch.as_tensor(np.asarray(obs[term.name])) for term in self.terms]
        action, state = self.step(*inputs, state)
        return action.numpy(), state


def foreign_policy(source: ForeignModel, interface: Interface) -> ForeignPolicy:
    """The policy in ``source``, proved to act as ``source.model.predict`` does.

    Raises:
        ForeignError: the model was trained for other observations or actions, is built in a way that is not known
            here, or the proof fails.
    """
    _check_actions(source, interface)
    policy = ForeignPolicy(source, interface)
    worst = prediction_error(policy, source, interface)
    if not worst <= TOLERANCE:  # also refuses NaN
        kind = type(source.model.policy).__name__
        raise ForeignError(
            f"{source.path}: its {kind} acts otherwise than {source.algorithm} policies do, by {worst:.1e} (actions in "
            f"[-1, 1], allowed are {TOLERANCE:.0e}); policies that compute actions in their own way are not supported"
        )
    return policy


@torch.no_grad()
def prediction_error(policy: ForeignPolicy, source: ForeignModel, interface: Interface, *, steps: int = 12) -> float:
    """Largest difference from ``model.predict`` of 4 environments on random observations, in units of [-1, 1].

    Half of the environments begin a new episode in the middle, so a memory that is not reset shows.
    """
    rng, n = np.random.default_rng(0), 4
    low, high = interface.action_space.low.reshape(-1), interface.action_space.high.reshape(-1)
    wide = {term.name: rng.normal(size=len(term.elements)) for term in policy.terms}
    for key, statistics in source.statistics().items():
        place = policy.places[key]
        wide[place.term][place.start : place.stop] = statistics.mean.reshape(-1)  # others would only be clipped
    state, theirs, worst = policy.zero_state_tensors(n), None, 0.0
    for step in range(steps):
        begins = np.array([step == 0 or (step == steps // 2 and i % 2 == 0) for i in range(n)])
        kept = torch.from_numpy(np.float32(1) - begins)[None, :, None]
        obs = {name: (mean + rng.normal(size=(n, len(mean)))).astype(np.float32) for name, mean in wide.items()}
        entries = {
            key: obs[place.term][:, place.start : place.stop].reshape(-1, *policy.shapes[key])
            for key, place in policy.places.items()
        }
        expected, theirs = source.predict(entries, theirs, begins)
        action, state = policy.act(obs, tuple(part * kept.float() for part in state), deterministic=True)
        difference = action - (2 * (expected.reshape(n, -1) - low.astype(np.float64)) / (high - low) - 1)
        worst = float(np.maximum(worst, np.abs(difference).max()))  # np.maximum, unlike max, lets a NaN through
    return worst


# ---- what the model reads ----------------------------------------------------------------------------------------


def _places(source: ForeignModel, interface: Interface) -> dict[str, Place]:
    """Where each entry that the model reads is found, in the model's order."""
    places = {}
    for key, space in source.observation_spaces.items():
        place, size = interface.entries.get(key), int(np.prod(space.shape))
        if place is None or place.stop - place.start != size:
            offers = {name: at.stop - at.start for name, at in interface.entries.items()}
            hint = "" if source.reads_dict else "; on a dict, train with MultiInputPolicy, not on a flattened vector"
            raise ForeignError(
                f"{source.path} reads {size} numbers as {key!r}, which a policy can't in {interface.task.name}: it may "
                f"read {offers}{hint}"
            )
        places[key] = place
    return places


def _check_actions(source: ForeignModel, interface: Interface) -> None:
    theirs, ours = source.model.action_space, interface.action_space
    if theirs.shape != ours.shape or not (np.allclose(theirs.low, ours.low) and np.allclose(theirs.high, ours.high)):
        raise ForeignError(
            f"{source.path} acts in {theirs}, {interface.task.name} takes {ours}: it was trained in another "
            "environment, or behind a wrapper that changes actions"
        )


# ---- what of it acts ---------------------------------------------------------------------------------------------


def _network(source: ForeignModel) -> tuple[nn.Module | None, nn.LSTM | None, nn.Sequential]:
    """Features extractor (None: entries side by side), memory (None: none), and what turns features into actions."""
    policy = source.model.policy
    try:
        if source.algorithm in ("SAC", "TQC"):
            actor = policy.actor
            # Where exploration depends on the state (gSDE), mu is a layer and a clipping.
            mu = actor.mu if isinstance(actor.mu, nn.Sequential) else (actor.mu,)
            return _extractor(actor.features_extractor), None, nn.Sequential(*actor.latent_pi, *mu, nn.Tanh())
        if source.algorithm in ("TD3", "DDPG"):
            return _extractor(policy.actor.features_extractor), None, nn.Sequential(*policy.actor.mu)
        lstm = policy.lstm_actor if source.algorithm == "RecurrentPPO" else None
        squash = (nn.Tanh(),) if policy.squash_output else ()
        layers = nn.Sequential(*policy.mlp_extractor.policy_net, policy.action_net, *squash)
        return _extractor(policy.pi_features_extractor), lstm, layers
    except (AttributeError, TypeError) as error:
        raise ForeignError(
            f"{source.path}: its {type(policy).__name__} is not built as {source.algorithm} policies are ({error}); "
            "policies that change the actor's parts are not supported"
        ) from None


def _extractor(extractor: nn.Module) -> nn.Module | None:
    from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor

    # Subclasses do more. Of pictures there are none here, so the combined one only puts entries side by side.
    return None if type(extractor) in (CombinedExtractor, FlattenExtractor) else extractor


def _bound(source: ForeignModel) -> Standardize | None:
    """PPO's actions are in the environment's unit and clipped to its limits. None where a tanh has made them fit."""
    if source.model.policy.squash_output:
        return None
    space = source.model.action_space
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    return Standardize((high + low) / 2, (high - low) / 2, 1.0)
