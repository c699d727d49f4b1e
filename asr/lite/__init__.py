"""The encoder's step exported to LiteRT, in float32 or with int8 weights: a CPU engine beside XLA's."""
