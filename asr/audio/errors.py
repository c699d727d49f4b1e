"""Errors in audio input."""

from asr.errors import AsrError


class AudioError(AsrError):
    """Audio that cannot be used: names the file, what was expected and what came."""
