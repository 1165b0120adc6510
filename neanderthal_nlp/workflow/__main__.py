"""Snakemake for a run on a cluster: as if interrupted, it cancels its jobs when the process that started it is gone.

Jobs do not inherit what ends the stages of a run on one machine: another machine knows nothing of its pipes.
"""

import os
import signal

from snakemake.cli import main

from neanderthal_nlp import cli

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    cli.end_with_the_run(lambda: os.killpg(0, signal.SIGINT))
    os.environ.pop(cli.LIFELINE, None)
    main()
