"""Readers of models, and files to mutate for them; see `hostile`."""

from __future__ import annotations

from hostile import Reader

READERS: dict[str, Reader] = {}
