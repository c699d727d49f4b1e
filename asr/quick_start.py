"""What a process that recognises does first, so that it is soon ready."""

from collections.abc import Iterator
from contextlib import contextmanager

from asr.program_cache import ProgramCache
from asr.quick_import import import_keras


@contextmanager
def quick_start() -> Iterator[None]:
    """Imports Keras quickly; inside, compiled programs come from the cache if they are there, and are kept in it."""
    cache = ProgramCache.enable()
    import_keras()
    try:
        yield
    finally:
        if cache:
            cache.seal()
