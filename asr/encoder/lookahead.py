"""Look-ahead over whole recordings: every chunk has its own copy of the frames after it.

A chunk that sees R frames ahead computes them with itself, in every layer, and throws them away: the next chunk
computes them anew, as its own. So however many layers there are, nothing after those R frames is heard (with a mask
that lets each layer look R frames further, the look-ahead would grow with the layers). Right context as hard copies:
Shi et al. 2021 (Emformer, 2010.10759), section 2.2.

Letters: B batch, S frames, C frames per chunk, R frames of look-ahead, N chunks, P = N (C + R) places, L left window,
H heads, D width.
"""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray


class ChunkCopies:
    """Where the frames of a recording lie when each chunk is followed by a copy of its look-ahead.

    Args:
        frames: S.
        chunk: C.
        ahead: R.

    Attributes:
        places: [P] the frame at each place; those past the recording's end are S or more.
    """

    def __init__(self, frames: int, chunk: int, ahead: int) -> None:
        """Computes the places."""
        self.frames, self.chunk, self.ahead = frames, chunk, ahead
        self.count = -(-frames // chunk)
        self._starts = np.arange(self.count, dtype=np.int32) * chunk  # [N]
        places = self._starts[:, None] + np.arange(chunk + ahead, dtype=np.int32)
        self.places: NDArray[np.int32] = places.astype(np.int32).reshape(-1)
        self._own = np.arange(len(self.places)).reshape(self.count, -1)[:, :chunk].reshape(-1)[:frames]  # [S]

    def spread(self, x: Any) -> Any:
        """Copies the frames to their places: [B, S, D] -> [B, P, D]; past the end there are zeros."""
        missing = int(self.places[-1]) + 1 - self.frames
        return ops.take(ops.pad(x, ((0, 0), (0, missing), (0, 0))), self.places, axis=1)

    def gather(self, x: Any) -> Any:
        """Each frame as its own chunk has it: [B, P, D] -> [B, S, D]."""
        return ops.take(x, self._own, axis=1)

    def mask(self, left: int, lengths: Any) -> Any:
        """Which places each place sees: its chunk with the look-ahead, and chunks' own frames in the left window.

        Args:
            left: L, frames before the chunk's first.
            lengths: [B] int32, valid frames of each recording.

        Returns:
            [B, P, P] bool, true where query (axis 1) sees key (axis 2).
        """
        size = self.chunk + self.ahead
        start = np.repeat(self._starts, size)[:, None]  # of each query's chunk
        own = np.tile(np.arange(size) < self.chunk, self.count)
        before = own & (self.places < start) & (self.places >= start - left)  # [P, P]
        seen = before | (start == start.T)
        return ops.convert_to_tensor(seen)[None] & (ops.convert_to_tensor(self.places) < lengths[:, None])[:, None]

    def chunks(self, x: Any) -> Any:
        """[B, P, D] -> [B N, C + R, D]."""
        return ops.reshape(x, (-1, self.chunk + self.ahead, x.shape[-1]))

    def before(self, x: Any, count: int) -> Any:
        """The `count` frames before each chunk, zeros before the recording: [B, P, D] -> [B N, count, D]."""
        padded = ops.pad(self.gather(x), ((0, 0), (count, 0), (0, 0)))
        index = (self._starts[:, None] + np.arange(count)).reshape(-1)
        return ops.reshape(ops.take(padded, index, axis=1), (-1, count, x.shape[-1]))

    def frame_weights(self, weights: Any) -> Any:
        """Attention's weights by frame: [B, H, P, P] -> [B, H, S, S]."""
        columns = ops.one_hot(ops.convert_to_tensor(self.places), self.frames, dtype=weights.dtype)  # [P, S]
        return ops.matmul(ops.take(weights, self._own, axis=2), columns)
