"""Errors in a client's audio."""


class AudioError(ValueError):
    """The bytes are not the audio they should be; the text says what was expected and is fit for the peer."""
