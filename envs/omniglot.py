"""N-way K-shot tasks from Omniglot: tell N characters apart from K drawings of each.

A task batch is one index operation on one uint8 tensor that lies on the device.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import torch
from torch import Tensor

from sim2real.envs.distortion import distort
from sim2real.envs.omniglot_files import DRAWINGS, SIZE, Characters
from sim2real.errors import UserError
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import State

Split = Literal["vinyals", "lake"]
Part = Literal["train", "validation", "test"]
TURNS = 4


class OmniglotSource:
    """Tasks of one part of a split, every character and every drawing of a task drawn without repetition."""

    def __init__(
        self,
        characters: Characters,
        part: Part,
        *,
        split: Split,
        ways: int,
        shots: int,
        queries: int,
        seed: int,
        rotations: bool = True,
        within_alphabet: bool = False,
        distortion: float = 0.0,
    ) -> None:
        """Classes of ``part`` of ``split``.

        Args:
            split: ``vinyals``: 1028, 172 and 423 characters of all alphabets, the split of Vinyals et al. 2016 as Snell
                et al. 2017 published it. ``lake``: the authors' background and evaluation alphabets, 5 of the former
                for validation.
            rotations: characters turned by 90, 180 and 270 degrees are further classes (Santoro et al. 2016).
            within_alphabet: the classes of a task are upright characters of one alphabet (Lake et al. 2015), which is
                harder.
            distortion: strength of `distort` on every drawing; 0 for none.
        """
        if shots + queries > DRAWINGS:
            raise UserError(f"a character has {DRAWINGS} drawings; {shots} shots and {queries} queries are too many")
        chosen = members(characters.names, part, split)
        upright = characters.images[chosen]
        turns = 1 if within_alphabet or not rotations else TURNS
        self.images = torch.cat([upright.rot90(k, (2, 3)) for k in range(turns)])
        self._alphabets = _alphabets([characters.names[i] for i in chosen]) if within_alphabet else None
        available = len(self.images) if self._alphabets is None else int(self._alphabets.bincount().max())
        if ways > available:
            raise UserError(f"{ways} ways are too many: {part} tasks have at most {available} classes to choose from")
        self.task = FewShotSpec("omniglot", "classification", (1, SIZE, SIZE), ways, shots, queries)
        self._distortion = distortion
        self._draw = torch.Generator().manual_seed(seed)

    def sample(self, tasks: int) -> TaskBatch:
        """The next tasks. Images are float, ink 1 on 0."""
        t, device = self.task, self.images.device
        classes = self._classes(tasks)
        drawings = torch.rand(tasks, t.ways, DRAWINGS, generator=self._draw).argsort(-1)[..., : t.shots + t.queries]
        images = self.images[classes[..., None].to(device), drawings.to(device)].float()[..., None, :, :] / 255
        if self._distortion:
            images = distort(images.flatten(0, 2), self._distortion, self._draw).view(images.shape)
        labels = torch.arange(t.ways, device=device)[None, :, None].expand(tasks, -1, t.shots + t.queries)
        support, query = (
            Examples(images[:, :, part].flatten(1, 2), labels[:, :, part].flatten(1, 2))
            for part in (slice(t.shots), slice(t.shots, None))
        )
        return TaskBatch(support, query, torch.zeros(tasks, 0, device=device))

    def _classes(self, tasks: int) -> Tensor:
        """[tasks, ways] different classes each."""
        keys = torch.rand(tasks, len(self.images), generator=self._draw)
        if self._alphabets is not None:
            large = torch.nonzero(self._alphabets.bincount() >= self.task.ways)[:, 0]
            alphabet = large[torch.randint(len(large), (tasks, 1), generator=self._draw)]
            keys = keys.masked_fill(self._alphabets != alphabet, -1)
        return keys.topk(self.task.ways).indices

    def to(self, device: torch.device) -> None:
        """Keep the images on ``device``; tasks are drawn on the CPU, so they are the same ones."""
        self.images = self.images.to(device)

    def state_dict(self) -> State:
        return {"draw": self._draw.get_state()}

    def load_state_dict(self, state: State) -> None:
        self._draw.set_state(state["draw"].cpu())


def members(names: tuple[str, ...], part: Part, split: Split) -> list[int]:
    """Indices of the characters that belong to ``part`` of ``split``."""
    if split == "lake":
        background = sorted({_alphabet(name) for name in names if name.startswith("images_background/")})
        held = set(background[::6])
        others = {_alphabet(name) for name in names} - set(background)
        wanted = {"train": set(background) - held, "validation": held, "test": others}[part]
        return [i for i, name in enumerate(names) if _alphabet(name) in wanted]
    index = {name.partition("/")[2]: i for i, name in enumerate(names)}
    return [index[name] for name in vinyals(part)]


def vinyals(part: Part) -> list[str]:
    """``Alphabet/characterNN`` of a part of the split that comes with this package; its files list rotations too."""
    name = {"train": "train", "validation": "val", "test": "test"}[part]
    lines = (files("sim2real.configs") / "omniglot" / f"{name}.txt").read_text(encoding="utf-8").split()
    return sorted({line.rpartition("/")[0] for line in lines})


def _alphabet(name: str) -> str:
    return name.split("/")[-2]


def _alphabets(names: list[str]) -> Tensor:
    """Number of each character's alphabet, [characters]."""
    numbers = {alphabet: k for k, alphabet in enumerate(sorted({_alphabet(name) for name in names}))}
    return torch.tensor([numbers[_alphabet(name)] for name in names])
