"""The inference worker: a process of its own that holds the model and the state of its streams."""
