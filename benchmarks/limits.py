"""What a machine can do at most, measured with the BLAS of NumPy and SciPy; what an epoch of the network needs then.

Sizes are the article's: batches of 32 windows, 1,024 words, 3,000 hidden units, float32.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import saxpy

from neanderthal_nlp.parameters import BATCH_SIZE, HIDDEN_UNITS, VALIDATION_SPLIT

N_WORDS = 1024
_SQUARE = 2000
_COPIED_BYTES = 2**29
_REPEATS = 20


class MachineLimits(NamedTuple):
    """Throughput of a machine, all its cores together.

    Attributes
    ----------
    sgemm : float
        Operations a second (a multiplication and an addition are two) of a large square product.
    sgemm_forward, sgemm_gradient : float
        The same of a batch's two products: 32 x 1024 by 1024 x 3000, and 1024 x 32 by 32 x 3000.
    memory : float
        Bytes a second of a copy far larger than the cache, each byte counted when read and when written.
    cache : float
        Bytes a second of the update w += a * g of 3 million weights, which stay in the last-level cache where that
        holds 24 MB.
    """

    sgemm: float
    sgemm_forward: float
    sgemm_gradient: float
    memory: float
    cache: float


def machine_limits() -> MachineLimits:
    """Measure a machine; the best of several repeats, since whatever else runs only takes away."""
    rng = np.random.default_rng(1)
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def product(n: int, m: int, k: int) -> float:
        a, b = rng.random((n, m), dtype=np.float32), rng.random((m, k), dtype=np.float32)
        out = np.empty((n, k), dtype=np.float32)
        return 2 * n * m * k / _best_seconds(lambda: np.matmul(a, b, out=out))

    source = np.ones((n_cores, _COPIED_BYTES // n_cores), dtype=np.uint8)
    target = np.zeros_like(source)
    with ThreadPoolExecutor(n_cores) as pool:
        copy = _best_seconds(lambda: list(pool.map(np.copyto, target, source)))
        w, g = (np.split(rng.random(N_WORDS * HIDDEN_UNITS // n_cores * n_cores, dtype=np.float32), n_cores)
                for _ in range(2))  # fmt: skip
        update = _best_seconds(lambda: list(pool.map(lambda part, by: saxpy(by, part, a=1e-6), w, g)))
    return MachineLimits(
        sgemm=product(_SQUARE, _SQUARE, _SQUARE),
        sgemm_forward=product(BATCH_SIZE, N_WORDS, HIDDEN_UNITS),
        sgemm_gradient=product(N_WORDS, BATCH_SIZE, HIDDEN_UNITS),
        memory=2 * source.nbytes / copy,
        cache=3 * sum(part.nbytes for part in w) / update,
    )


def epoch_floor(n_rows: int, limits: MachineLimits) -> float:
    """Seconds that an epoch of the article's network takes at the least, at the rates measured.

    With F words, H hidden units and P = FH + 2H + 1 weights:

    - Arithmetic. The forward pass takes 2FH + 2H operations a row. The gradient of the hidden weights takes 2FH, that
      of the output weights 2H, and the hidden units' share of the error 2H; counts have no gradient. A row of the
      validation takes the forward pass alone. Sigmoids are left out. The rate is that of the fastest product.
    - Traffic. Of each batch the update reads and writes weights and momenta: 4 times 4P bytes. Gradient, L1 term
      and the next batch's forward pass need none of their own where each tile is used as soon as it is made. A
      batch of the validation reads the weights once. The rate is that of the cache or of the memory, whichever is
      higher.

    The two may overlap, so that the larger of them is the floor.

    Parameters
    ----------
    n_rows : int
        Windows, of which a fifth is kept for validation.
    limits : MachineLimits

    Returns
    -------
    float
        Seconds.
    """
    n_train = math.floor(n_rows * (1 - VALIDATION_SPLIT))
    n_validation = n_rows - n_train
    products = 2 * N_WORDS * HIDDEN_UNITS
    forward, backward = products + 2 * HIDDEN_UNITS, products + 4 * HIDDEN_UNITS
    arithmetic = (n_train * (forward + backward) + n_validation * forward) / max(limits[:3])

    weights = 4 * (N_WORDS * HIDDEN_UNITS + 2 * HIDDEN_UNITS + 1)
    n_reads = 4 * math.ceil(n_train / BATCH_SIZE) + math.ceil(n_validation / BATCH_SIZE)
    traffic = n_reads * weights / max(limits.cache, limits.memory)
    return max(arithmetic, traffic)


def _best_seconds(function: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
