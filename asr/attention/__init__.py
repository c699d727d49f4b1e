"""Attention mechanisms: one file and one Keras layer each, behind the interface of `asr.attention.interface`.

What is compared (`similarity`): additive, dot, general, concat, scaled_dot.
With projections: cross, self_attention, multi_head, windowed (the encoder's), windowed_area.
Where one looks (`alignment`, around any similarity): global_attention, local_m, local_p, hard, monotonic, mocha,
blockwise, area, area_2d.
"""
