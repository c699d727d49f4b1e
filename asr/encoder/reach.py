"""How far back an encoder's output depends on what it heard: windowed attention and causal convolutions forget.

Letters: C encoder frames (80 ms) per chunk.
"""

from asr.config import ModelConfig


def whole_chunks(frames: int, chunk: int) -> int:
    """Frames up to whole chunks; of the left window's, after as many the caches lie as they lay before."""
    return -(-frames // chunk) * chunk


def reach_frames(config: ModelConfig, chunk: int) -> int:
    """Encoder frames before a chunk on which its output depends, at most: without those before it is the same.

    Each layer's convolution takes k - 1 frames from before the chunk, which attended to the left window before their
    own chunks. One chunk more holds what subsampling and log-mel remember.

    Args:
        config: Of the model.
        chunk: C.
    """
    frames = chunk
    for layers, rate in ((config.lower_layers, 2), (config.upper_layers, 1)):  # frames of 40 and of 80 ms
        window, convolved = rate * config.left_frames, config.kernel - 1
        frames += layers * (whole_chunks(window, rate * chunk) + whole_chunks(convolved, rate * chunk)) // rate
    return frames
