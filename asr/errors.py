"""Errors of the `asr` package that a user can cause and mend."""


class AsrError(ValueError):
    """Base: what was expected and what came, fit to be shown to the user."""


class ConfigError(AsrError):
    """A configuration has an unknown key or a value out of range."""


class CheckpointError(AsrError):
    """A model folder is incomplete, damaged, or of another configuration."""
