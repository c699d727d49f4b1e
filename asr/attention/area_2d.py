"""Area attention over rectangles (Li et al. 2018, 1810.10126), two dimensions."""

from typing import Any

import keras
from keras import ops

from asr.attention.area import Area, running_sums


@keras.saving.register_keras_serializable(package="earshot")
class Area2D(Area):
    """The memory is a grid, row after row; its items every rectangle up to a largest height and width.

    Li et al. 2018 (1810.10126), section 3.1. For speech the grid may be frames × frequency bands: a rectangle is a
    stretch of time in a range of pitch.

    Letters: R areas: of height 1 and width 1, of 1 × 2, and so on; then of height 2.

    Args:
        columns: Items of a row; S is a multiple.
        height: Rows of the largest rectangle.
        width: Columns of the largest rectangle.
        units: Width of the key's MLP; None: the key is the mean.
        score: The similarity.
    """

    def __init__(
        self, columns: int, height: int, width: int, units: int | None = None, score: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(max(height, width), units, score, **kwargs)
        if min(height, width) < 1 or width > columns:
            raise ValueError(f"area: expected rectangles of 1 x 1 to any height x {columns}, got {height} x {width}")
        self.columns, self.height, self.width = columns, height, width

    def sizes(self) -> list[int]:
        """How many sizes an area has along each dimension."""
        return [self.height, self.width]

    def areas(self, x: Any) -> list[tuple[Any, tuple[int, ...]]]:
        """Sums over areas of [..., S, D]: for each size, [..., its areas, D] and its height and width."""
        rows = ops.shape(x)[-2] // self.columns
        grid = ops.reshape(x, (*ops.shape(x)[:-2], rows, self.columns, x.shape[-1]))
        found: list[tuple[Any, tuple[int, ...]]] = []
        for height, bands in enumerate(running_sums(grid, -3, self.height), start=1):
            for width, total in enumerate(running_sums(bands, -2, self.width), start=1):
                areas = ops.shape(total)[-3] * total.shape[-2]
                flat = ops.reshape(total, (*ops.shape(total)[:-3], areas, x.shape[-1]))
                found.append((flat, (height, width)))
        return found

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        config = super().get_config()
        del config["span"]
        return config | {"columns": self.columns, "height": self.height, "width": self.width}
