"""Machine code of functions that run beside the compiled step, by Numba; kept on disk as programs are.

Numba keeps code beside the source or in the user's home, and stops where neither can be written to, as in a container:
so it is told the folder of `asr.program_cache`, or to keep nothing where that is off or cannot be had.
"""

import logging
import os
from collections.abc import Callable
from typing import Any

import numba

from asr.program_cache import SealedFolder, cache_folder, code_digest

KEPT = "**/*.nb?"  # a folder for each state of our code, and in it one for each file of source
LARGEST_BYTES = 64 * 2**20

logger = logging.getLogger(__name__)

_settings: Any = numba.config


def _kept() -> bool:
    """Whether code can be kept; Numba knows the folder then."""
    if _settings.CACHE_DIR:  # NUMBA_CACHE_DIR: somebody decided
        return True
    folder = cache_folder(os.environ)
    if folder is None:
        return False
    try:
        # Nobody else's: Numba unpickles what it finds there.
        sealed = SealedFolder(folder.parent / "numba", KEPT, LARGEST_BYTES)
    except OSError as error:
        logger.warning("keeps no machine code: %s", error)
        return False
    if sealed.writable:
        # Numba looks at the file of the function that is called, not at those of the functions that it calls.
        _settings.CACHE_DIR = str(sealed.folder / code_digest()[:16])
    return sealed.writable


_jit: Any = numba.njit(cache=_kept(), nogil=True)
_fused_jit: Any = numba.njit(cache=_kept(), nogil=True, fastmath={"contract"})


def host_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of arrays and numbers at its first call."""
    compiled: Callable[..., Any] = _jit(function)
    return compiled


def fused_host_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with a product and a sum in one instruction where the processor has it: sums may differ in a bit."""
    compiled: Callable[..., Any] = _fused_jit(function)
    return compiled
