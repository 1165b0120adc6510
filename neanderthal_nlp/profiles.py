"""Profiles: the values of a run, read from YAML and checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import PROTOCOLS

PROFILES = ("demo", "article")
INPUTS = ("genome", "introgressed", "genes")
_MANY = 2**31 - 1
_RANGES = {
    "seed": (0, 2**32 - 1), "window_length": (1, _MANY), "k": (2, 10), "epochs": (1, _MANY), "n_estimators": (1, _MANY),
    "n_draws": (1, _MANY), "word2vec_windows": (1, _MANY), "word2vec_workers": (1, 1024), "audit_epochs": (1, _MANY),
    "audit_draws": (19, _MANY), "sweep_features": (1, _MANY), "sweep_windows": (2, _MANY), "null_order": (0, 5),
    "sequence_windows": (2, _MANY), "sequence_epochs": (1, _MANY), "sequence_cnn_epochs": (1, _MANY),
}  # fmt: skip
_OPTIONAL = {
    "assembly", "chromsizes", "gaps", "split_file", "published_genes", "word2vec_windows", "sequence_windows", *INPUTS,
}  # fmt: skip
_CHOICES = {
    "unplaced": ("error", "drop"),
    "protocol": PROTOCOLS,
    "synthetic": (True, False),
    "as_published": (True, False),
    "audit": (True, False),
    "accelerated_forest": (True, False),
}


def read_profile(name: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Read a profile that comes with the package, or a YAML file with some of the same keys.

    Parameters
    ----------
    name : str
        "demo", "article", or the path of a YAML file; keys that it leaves out are the article profile's.
    settings : sequence of str
        Changes, each KEY=VALUE with the value in YAML.

    Returns
    -------
    dict
        Every key of the profiles.

    Raises
    ------
    InputError
        There is no such profile, a key is unknown, or a value is not one that its key takes.
    """
    folder = files("neanderthal_nlp.workflow") / "profiles"
    known = {profile: _parse((folder / f"{profile}.yaml").read_text("utf-8"), profile) for profile in PROFILES}
    if name in known:
        profile = known[name]
    else:
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(f"--profile {name}: no such YAML file, and not one of {', '.join(PROFILES)}") from None
        given = _parse(text, f"--profile {name}")
        if not isinstance(given, dict):
            raise InputError(f"--profile {name}: found {type(given).__name__}, expected keys and values")
        profile = {**known["article"], **_checked(given, f"--profile {name}", known["article"])}
    for setting in settings:
        key, _, value = setting.partition("=")
        change = {key: _parse(value, f"--set {setting}")}
        profile = {**profile, **_checked(change, f"--set {setting}", known["article"])}
    if profile["window_length"] < profile["k"]:
        raise InputError(f"window_length: found {profile['window_length']}, expected at least k = {profile['k']}")
    return profile


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML ({' '.join(str(error).split())})") from None


def _checked(values: dict[str, Any], source: str, keys: dict[str, Any]) -> dict[str, Any]:
    expected = (*keys, *INPUTS)
    for key, value in values.items():
        if key not in expected:
            raise InputError(f"{source}: found {key}, expected KEY=VALUE with a key among {', '.join(expected)}")
        if value is None and key in _OPTIONAL:
            continue
        if key in _RANGES:
            low, high = _RANGES[key]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"{source}: {key}: found {value!r}, expected a whole number from {low} to {high}")
        elif key in _CHOICES:
            if value not in _CHOICES[key]:
                choices = " or ".join(str(choice).lower() for choice in _CHOICES[key])
                raise InputError(f"{source}: {key}: found {value!r}, expected {choices}")
        elif not isinstance(value, str):
            raise InputError(f"{source}: {key}: found {value!r}, expected text")
    return values
