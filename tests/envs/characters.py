"""A small alphabet collection in place of Omniglot."""

from __future__ import annotations

import torch

from sim2real.envs.omniglot_files import SIZE, Characters

ALPHABETS = 7
LETTERS = 6


def toy() -> Characters:
    """Seven alphabets of six letters; the pixels of a drawing say which character and which drawing it is, and its
    upper left corner is marked."""
    names = [
        f"images_{'background' if a < 5 else 'evaluation'}/alphabet{a}/character{c:02d}"
        for a in range(ALPHABETS)
        for c in range(LETTERS)
    ]
    images = torch.zeros(len(names), 20, SIZE, SIZE, dtype=torch.uint8)
    images += torch.arange(len(names), dtype=torch.uint8)[:, None, None, None]
    images[:, :, 10:18, 10:18] = torch.arange(20, dtype=torch.uint8)[None, :, None, None]
    images[:, :, 0, 0] = 255
    return Characters(tuple(names), images)
