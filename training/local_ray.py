"""Starting Ray on this machine, or joining the cluster that is there, without its noise on the terminal."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ray_session(*, minimum_cpus: int = 2) -> Iterator[None]:
    """Ray for the time of the block. A session that the caller already has is used and left alone.

    `minimum_cpus` logical CPUs are declared even on a single-core machine, because student and trainer take turns.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # keep CUDA_VISIBLE_DEVICES of CPU-only actors
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Threads that spin for long while they wait slow everything down as soon as anything else wants the CPU; threads
    # that do not spin at all are slow to wake between the many small products of one generated token.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations at import are not the user's business
        import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if address:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init(
                num_cpus=max(minimum_cpus, os.cpu_count() or 1),
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    try:
        yield
    finally:
        ray.shutdown()
