"""The count of operations against one made by hand."""

from asr.config import ModelConfig
from asr.streaming.engine import Engine
from asr.transducer.model import Transducer
from tests.bench.operations import step_operations

SIZES = {"dim": 32, "heads": 2, "lower_layers": 1, "upper_layers": 1, "channels": 4, "left_frames": 8}
JOINT = {"lookback_frames": 4, "predictor_dim": 16, "joint_dim": 24, "vocabulary": 32}


def test_every_product_is_counted() -> None:
    model = Transducer(ModelConfig(**SIZES, **JOINT))
    c, rows, lower, upper = model.config, 3, 8, 4
    products = 2 * 32 * 200 * 257 + 32 * 257 * 80  # log-mel of 32 frames
    products += 16 * 40 * 9 * c.channels + 8 * 20 * 9 * c.channels**2 + 8 * 20 * c.channels * c.dim  # subsampling
    for frames, left in ((lower, 2 * c.left_frames), (upper, c.left_frames)):
        products += frames * c.dim * (4 * c.feed_forward * c.dim + 3 * c.dim + c.dim + 2 * c.dim + c.dim)
        products += 2 * frames * (left + frames) * c.dim  # scores and contexts
    products += upper * 2 * c.dim * c.dim + upper * c.dim * 2 * c.joint_dim  # stacking; keys and values of the joint
    place = c.lookback_frames + upper
    one_round = c.predictor_dim * (2 * c.joint_dim + 3 * c.predictor_dim) + c.joint_dim * c.joint_dim
    one_round += 2 * place * c.joint_dim + c.joint_dim * (1 + c.vocabulary)
    for rounds in (1.0, 2.5):
        counted = step_operations(Engine(model, 320, rows), rounds)
        assert counted == 2 * rows * (products + rounds * one_round)
