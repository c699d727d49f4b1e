import numpy as np

from asr.training.seeds import is_seed, seed_variables, seeds_at


def test_states_repeat_and_differ_between_steps_seeds_and_generators():
    states = [tuple(state) for seed in (1, 2) for step in range(50) for state in seeds_at(4, seed, step)]
    assert len(set(states)) == len(states) == 400
    np.testing.assert_array_equal(seeds_at(4, 1, 7), seeds_at(4, 1, 7))
    assert seeds_at(4, 1, 7).dtype == np.uint32 and max(max(s) for s in states) < 2**31


def test_a_models_generators_are_found(make_model):
    model = make_model(0)
    found = seed_variables(model)
    assert len(found) == 4  # three conformer layers and the predictor
    assert {v.path for v in found}.isdisjoint(v.path for v in model.trainable_variables)
    assert not any(is_seed(v) for v in model.trainable_variables)
