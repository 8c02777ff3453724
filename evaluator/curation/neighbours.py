"""The nearest of a stream of vectors, exactly, by blocks: no index, and no memory beyond a block.

For some hundred queries an exact search in blocks takes less time than an approximate index takes to build, and misses nothing.
"""

from __future__ import annotations

import numpy as np


class NearestInStream:
    """The ``k`` most similar vectors of a stream for each query, by cosine similarity, at most ``per_parent`` of one parent each.

    What leaves the list because of its rank or its parent's cap can never come back, since what pushed it out only improves; so the
    list after the last block is that of a search over everything.

    Attributes:
        similarity: float32 (queries, k), falling; -inf where the stream was too short. ``numbers``, ``parents``: int64, -1 there.
    """

    def __init__(self, queries: np.ndarray, k: int, per_parent: int) -> None:
        """Args:
        queries: float (q, d), any lengths.
        k, per_parent: 1 or more.
        """
        if k < 1 or per_parent < 1:
            raise ValueError(f"k is {k}, per_parent {per_parent}; expected 1 or more")
        self._queries = unit(queries)
        self._k, self._cap = k, per_parent
        self.similarity = np.full((len(queries), k), -np.inf, np.float32)
        self.numbers = np.full((len(queries), k), -1, np.int64)
        self.parents = np.full((len(queries), k), -1, np.int64)

    def add(self, vectors: np.ndarray, numbers: np.ndarray, parents: np.ndarray) -> None:
        """Look through a block: vectors float (m, d), with a number and a parent for each, int64 (m,)."""
        import torch

        block = torch.from_numpy(unit(vectors))
        similarity = torch.from_numpy(self._queries) @ block.T
        bar = torch.from_numpy(self.similarity[:, -1])
        # Only what beats the worst of the list can enter it: after the first blocks that is next to nothing.
        hits = similarity > bar[:, None]
        for query in torch.nonzero(hits.any(dim=1)).flatten().tolist():
            places = torch.nonzero(hits[query]).flatten().numpy()
            self._enter(query, similarity[query].numpy()[places], numbers[places], parents[places])

    def _enter(self, query: int, similarity: np.ndarray, numbers: np.ndarray, parents: np.ndarray) -> None:
        there = self.numbers[query] >= 0
        found = np.concatenate([self.similarity[query, there], similarity])
        who = np.concatenate([self.numbers[query, there], numbers])
        whose = np.concatenate([self.parents[query, there], parents])
        order = np.lexsort((who, -found))  # of equals the smaller number first
        kept = capped(whose[order], self._cap, self._k)
        order = order[kept]
        self.similarity[query], self.numbers[query], self.parents[query] = -np.inf, -1, -1
        self.similarity[query, : len(order)] = found[order]
        self.numbers[query, : len(order)] = who[order]
        self.parents[query, : len(order)] = whose[order]


def capped(parents: np.ndarray, cap: int, most: int) -> np.ndarray:
    """The places of the first ``most`` entries when no parent may have more than ``cap`` of them, int64."""
    seen: dict[int, int] = {}
    kept: list[int] = []
    for place, parent in enumerate(parents.tolist()):
        if seen.get(parent, 0) < cap:
            seen[parent] = seen.get(parent, 0) + 1
            kept.append(place)
            if len(kept) == most:
                break
    return np.array(kept, np.int64)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1, float32; those of length 0 stay as they are."""
    found = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(lengths > 0, lengths, 1)
