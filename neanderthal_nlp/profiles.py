"""Profiles: the values of a run, read from YAML and checked before anything runs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.parameters import PROTOCOLS

PROFILES = ("demo", "article")
INPUTS = ("genome", "introgressed", "genes")
MANY = 2**31 - 1
"""Most that is taken of what is counted."""
RANGES = {
    "seed": (0, 2**32 - 1), "window_length": (1, MANY), "k": (2, 10), "epochs": (1, MANY), "n_estimators": (1, MANY),
    "n_draws": (1, MANY), "word2vec_windows": (1, MANY), "word2vec_workers": (1, 1024), "audit_epochs": (1, MANY),
    "audit_draws": (19, MANY), "sweep_features": (1, MANY), "sweep_windows": (2, MANY), "null_order": (0, 5),
    "sequence_windows": (2, MANY), "sequence_epochs": (1, MANY), "sequence_cnn_epochs": (1, MANY),
}  # fmt: skip
"""Least and most of whole numbers."""
_LARGEST = 1 << 16
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
        if not os.path.isfile(name):  # unlike Path.is_file, of any text
            raise InputError(f"--profile {name}: no such YAML file, and not one of {', '.join(PROFILES)}")
        given = read_settings(name, source=f"--profile {name}")
        profile = {**known["article"], **_checked(given, f"--profile {name}", known["article"])}
    for setting in settings:
        key, _, value = setting.partition("=")
        change = {key: _parse(value, f"--set {setting}")}
        profile = {**profile, **_checked(change, f"--set {setting}", known["article"])}
    if profile["window_length"] < profile["k"]:
        where = " ".join([f"--profile {name}", *(f"--set {setting}" for setting in settings)])
        raise InputError(f"{where}: window_length: found {profile['window_length']}, expected at least k = "
                         f"{profile['k']}")  # fmt: skip
    return profile


def read_settings(path: str | Path, *, source: str) -> dict[str, Any]:
    """Read keys and values from a YAML file of up to 64 KiB.

    Parameters
    ----------
    path : path-like
    source : str
        What the file was given as, for errors.

    Raises
    ------
    InputError
        The file cannot be read, is not YAML, has an alias (a few lines of which can stand for more than any
        memory holds) or a key twice, or is something else than keys and values.
    """
    try:
        size = Path(path).stat().st_size
        text = Path(path).read_text("utf-8") if size <= _LARGEST else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: cannot be read, expected a YAML file ({error})") from None
    if size > _LARGEST:
        raise InputError(f"{source}: found {size:,} bytes, expected settings, {_LARGEST:,} bytes at most")
    values = _parse(text, source)
    if not isinstance(values, dict):
        raise InputError(f"{source}: found {type(values).__name__}, expected keys and values")
    return values


class _Loader(yaml.SafeLoader):
    """Without aliases, and without a second value for a key."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias {self.peek_event().start_mark}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        values = super().construct_mapping(node, deep=deep)
        if len(values) < len(node.value):
            raise yaml.YAMLError(f"a key that stands twice {node.start_mark}")
        return values


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a safe loader)
    except RecursionError:
        raise InputError(f"{source}: not YAML of settings (nested too deeply)") from None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:  # of tags that do not fit
        raise InputError(f"{source}: not YAML ({' '.join(str(error).split())})") from None


def _checked(values: dict[str, Any], source: str, keys: dict[str, Any]) -> dict[str, Any]:
    expected = (*keys, *INPUTS)
    for key, value in values.items():
        if key not in expected:
            found = key if isinstance(key, str) else _show(key)
            raise InputError(f"{source}: found {found}, expected KEY=VALUE with a key among {', '.join(expected)}")
        if value is None and key in _OPTIONAL:
            continue
        if key in RANGES:
            low, high = RANGES[key]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"{source}: {key}: found {_show(value)}, expected a whole number from {low} to {high}")
        elif key in _CHOICES:
            if (type(value), value) not in [(type(choice), choice) for choice in _CHOICES[key]]:
                choices = " or ".join(str(choice).lower() for choice in _CHOICES[key])
                raise InputError(f"{source}: {key}: found {_show(value)}, expected {choices}")
        elif not isinstance(value, str) or not _is_line(value):
            raise InputError(f"{source}: {key}: found {_show(value)}, expected text on one line")
    return values


def _is_line(text: str) -> bool:
    """Whether text can stand on a line of a file, and so in a file's name."""
    return not re.search(r"[\0-\x1f\x7f\ud800-\udfff]", text)


def _show(value: Any) -> str:
    try:
        return f"{value!r:.60}"
    except ValueError:  # Python writes no more than some thousand digits
        return "a number of thousands of digits"
