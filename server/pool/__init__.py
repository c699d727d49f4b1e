"""The inference workers as the server sees them: started, watched, restarted, and streams pinned to them."""

from server.pool.pool import Pool, PoolFull
from server.pool.process import WorkerCommand, inference_worker
from server.pool.supervisor import Patience

__all__ = ["Patience", "Pool", "PoolFull", "WorkerCommand", "inference_worker"]
