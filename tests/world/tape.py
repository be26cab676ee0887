"""The source of a world's chance: streams of draws that a seed decides, which can be replayed with
some of them silenced."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Tape:
    """One stream of draws from [0, 1). The smaller a draw, the less remarkable is what it decides:
    0 stands for the shortest delay, the first choice, no fault. So a failing run is made simpler by
    setting draws to 0: those of `silent`, by their number."""

    def __init__(self, seed: object, silent: Container[int] | None = None) -> None:
        self.random: Callable[[], float] = Random(repr(seed)).random
        self.drawn = 0
        """How many draws were made; counted only where some may be silent."""
        if silent is not None:
            self.random = self._counted(self.random, silent)

    def _counted(self, draw: Callable[[], float], silent: Container[int]) -> Callable[[], float]:
        def counted() -> float:
            value, number = draw(), self.drawn
            self.drawn = number + 1
            return 0.0 if number in silent else value

        return counted

    def below(self, bound: int) -> int:
        """Draw a number from 0 to `bound` - 1."""
        return int(self.random() * bound)

    def chance(self, probability: float) -> bool:
        """Draw whether something remarkable happens."""
        return self.random() >= 1.0 - probability

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of `options`; the first is the least remarkable."""
        return options[int(self.random() * len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """Draw one of `options`, each as often as its weight says."""
        left = self.random() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        return options[-1]
