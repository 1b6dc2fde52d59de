"""A linear classifier over sparse binary features, trained when the gateway starts. The only home of numpy.

One weight vector per label, all against the rest, squared hinge loss with an L2 penalty; solved in the dual by
coordinate descent (Hsieh et al., ICML 2008), one row at a time for all labels at once. The order of the rows is drawn
from a fixed seed: the same examples give the same weights on every machine. Margins become shares of 1 by a softmax
whose `SHARPNESS` was chosen by cross-validation; shares are to be compared with thresholds, they are no promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PASSES = 5
COST = 1.0
HEAVY = 2.0
"""Features with a colon are what somebody thought of, not mere strings of characters: they count twice."""
SHARPNESS = 4.0
SEED = 7

Weights = NDArray[np.float32]


class Linear:
    """Trained on rows of features and their labels; rows are scaled to length 1, rare features weigh more."""

    def __init__(self, rows: Sequence[Sequence[str]], labels: Sequence[str], *, passes: int = PASSES) -> None:
        self.labels = sorted(set(labels))
        counts = Counter(feature for row in rows for feature in row)
        self._index = {feature: at for at, feature in enumerate(counts)}
        rarity = np.log((1 + len(rows)) / (1 + np.array([*counts.values()]))) + 1
        heavy = [HEAVY if ":" in feature else 1.0 for feature in self._index]
        self._rarity = (rarity * np.array(heavy)).astype(np.float32)
        self._weights = np.zeros((len(self._index), len(self.labels)), dtype=np.float32)
        if rows:
            self._train([self._vector(row) for row in rows], [self.labels.index(label) for label in labels], passes)

    def _vector(self, row: Sequence[str]) -> tuple[NDArray[np.intp], Weights]:
        known = np.array([self._index[feature] for feature in row if feature in self._index], dtype=np.intp)
        if not known.size:
            return known, np.zeros(0, dtype=np.float32)
        values = self._rarity[known]
        return known, (values / np.float32(np.linalg.norm(values))).astype(np.float32)

    def _train(self, vectors: Sequence[tuple[NDArray[np.intp], Weights]], wanted: Sequence[int], passes: int) -> None:
        signs = np.full((len(vectors), len(self.labels)), -1, dtype=np.float32)
        signs[np.arange(len(vectors)), wanted] = 1
        duals = np.zeros_like(signs)
        weights, slack = self._weights, np.float32(1 / (2 * COST))
        order = np.random.default_rng(SEED)
        for _ in range(passes):
            for at in order.permutation(len(vectors)):
                known, values = vectors[at]
                slope = signs[at] * (values @ weights[known]) - 1 + slack * duals[at]
                moved = np.maximum(duals[at] - slope / (1 + slack), 0)
                weights[known] += np.outer(values, (moved - duals[at]) * signs[at])
                duals[at] = moved

    def shares(self, row: Sequence[str]) -> Mapping[str, float]:
        """How likely each label is, likeliest first; they add up to 1."""
        known, values = self._vector(row)
        margins = SHARPNESS * (values @ self._weights[known]) if known.size else np.zeros(len(self.labels))
        raised = np.exp(margins - margins.max(initial=0))
        shares = raised / raised.sum()
        return {self.labels[at]: float(shares[at]) for at in np.argsort(-shares, kind="stable")}
