"""`python -m neanderthal_nlp.cli`."""

from neanderthal_nlp.cli import main

main()
