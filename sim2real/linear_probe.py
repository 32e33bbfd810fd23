"""Ridge regression with cross-validation: what a linear reader can tell from features about targets.

The penalty of each target is chosen by generalised cross-validation (Golub, Heath, Wahba 1979) within the episodes that
are fitted, so the episodes that are predicted decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.types import FloatArray

Array = NDArray[np.float64]
PENALTIES = 10.0 ** np.arange(-3.0, 5.0)
"""Ridge penalties tried, for standardised features."""
FOLDS = 5


@dataclass(frozen=True)
class LinearReader:
    """``y = (x - mean) / std @ weights + offset``"""

    mean: Array
    std: Array
    weights: Array
    """[F, P]"""
    offset: Array

    def __call__(self, x: FloatArray) -> Array:
        """[B, F] -> [B, P]"""
        return np.asarray((x - self.mean) / self.std @ self.weights + self.offset)


def fit(x: FloatArray, y: FloatArray) -> LinearReader:
    """Ridge regression of ``y [B, P]`` on ``x [B, F]``, features standardised; constant ones get no weight."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    mean, std, offset = x.mean(0), x.std(0), y.mean(0)
    std = np.where(std > 1e-12, std, np.inf)
    u, s, vt = np.linalg.svd((x - mean) / std, full_matrices=False)
    projected = u.T @ (y - offset)  # [r, P]
    shrink = s**2 / (s**2 + PENALTIES[:, None])  # [L, r]
    residual = (y - offset)[None] - np.einsum("br,lr,rp->lbp", u, shrink, projected, optimize=True)
    freedom = 1 - (shrink.sum(1) + 1) / len(x)  # the mean is fitted too
    error = (residual**2).mean(1) / np.maximum(freedom, 1e-3)[:, None] ** 2
    best = PENALTIES[error.argmin(0)]  # [P]
    weights = vt.T @ (s[:, None] / (s[:, None] ** 2 + best) * projected)
    return LinearReader(mean, std, weights, offset)


def held_out(x: FloatArray, y: FloatArray, *, at: FloatArray | None = None, folds: int = FOLDS) -> Array:
    """Predictions [B, P] of ``y``, each by a reader that was fitted without that episode's fold.

    With ``at [B, F]``, the readers are applied to these features of the same episodes instead of ``x``.
    """
    at, fold = x if at is None else at, fold_of(len(x), folds)
    predictions = np.zeros_like(y, np.float64)
    for k in range(folds):
        predictions[fold == k] = fit(x[fold != k], y[fold != k])(at[fold == k])
    return predictions


def fold_of(episodes: int, folds: int = FOLDS) -> NDArray[np.int_]:
    """[B] fold of each episode."""
    return np.random.default_rng(0).permutation(episodes) % folds


def r_squared(y: FloatArray, predictions: FloatArray) -> Array:
    """[P] share of the variance of ``y [B, P]`` that is predicted; below 0 where the mean would do better, NaN where
    ``y`` does not vary."""
    value: Array = _r_squared(np.full((1, len(y)), 1.0), y, predictions)[0]
    return value


def r_squared_draws(y: FloatArray, predictions: FloatArray, *, resamples: int = 400) -> Array:
    """[resamples, P] of `r_squared` over resampled episodes; two calls resample alike, so their draws are paired."""
    b = len(y)
    return _r_squared(np.random.default_rng(0).multinomial(b, np.full(b, 1 / b), resamples), y, predictions)


def _r_squared(counts: NDArray[Any], y: FloatArray, predictions: FloatArray) -> Array:
    total = counts.sum(1, keepdims=True)
    spread = counts @ y**2 - (counts @ y) ** 2 / total
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Array = np.where(spread > 1e-9, 1 - counts @ (y - predictions) ** 2 / spread, np.nan)
    return share
