from __future__ import annotations

import math

import torch
from torch import Tensor

from sim2real.envs.distortion import distort, warp


def centre(images: Tensor) -> Tensor:
    """Centre of the ink in pixels from the middle, x and y: [N, 2]."""
    size = images.shape[-1]
    line = torch.arange(size) - (size - 1) / 2
    ink = images[:, 0]
    mass = ink.sum((1, 2))
    return torch.stack([(ink.sum(1) * line).sum(1) / mass, (ink.sum(2) * line).sum(1) / mass], 1)


def warped(image: Tensor, **amounts: float) -> Tensor:
    """By the named amounts, of which 1 is the whole of a range; the others are 0."""
    order = ["turn", "shear", "stretch_x", "stretch_y", "shift_x", "shift_y"]
    return warp(image, torch.tensor([[amounts.get(name, 0.0) for name in order]]).expand(len(image), -1))


def dot(x: int, y: int, size: int = 29) -> Tensor:
    """One bright pixel, x and y from the middle."""
    image = torch.zeros(1, 1, size, size)
    image[0, 0, size // 2 + y, size // 2 + x] = 1.0
    return image


def test_nothing_drawn_leaves_the_image() -> None:
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(warped(images), images, atol=1e-5, rtol=0)


def test_a_full_shift_is_two_pixels() -> None:
    torch.testing.assert_close(warped(dot(0, 0), shift_x=1.0), dot(-2, 0), atol=1e-5, rtol=0)
    torch.testing.assert_close(warped(dot(0, 0), shift_y=-0.5), dot(0, 1), atol=1e-5, rtol=0)


def test_a_full_turn_is_ten_degrees() -> None:
    where, angle = centre(warped(dot(10, 0), turn=1.0))[0], math.radians(10)
    # Only four neighbours of the dot are seen, so the centre is right to a good part of a pixel.
    torch.testing.assert_close(where, torch.tensor([10 * math.cos(angle), -10 * math.sin(angle)]), atol=0.4, rtol=0)


def test_stretching_brings_what_lies_far_out_nearer_by_a_fifth_and_shear_moves_it_sideways() -> None:
    torch.testing.assert_close(
        centre(warped(dot(12, 3), stretch_x=1.0))[0], torch.tensor([10.0, 3.0]), atol=0.1, rtol=0
    )
    torch.testing.assert_close(centre(warped(dot(0, 10), shear=1.0))[0], torch.tensor([-2.0, 10.0]), atol=0.1, rtol=0)


def test_every_image_is_distorted_in_its_own_way_and_the_draw_decides_which() -> None:
    images = dot(5, 5).expand(8, -1, -1, -1)
    first = distort(images, 1.0, torch.Generator().manual_seed(3))
    assert len({tuple(image.flatten().tolist()) for image in first}) == 8
    assert torch.equal(first, distort(images, 1.0, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, distort(images, 1.0, torch.Generator().manual_seed(4)))
