"""Profiles: the article's values, changes to them, and what is refused."""

import pytest
import yaml

from neanderthal_nlp.errors import InputError
from neanderthal_nlp.profiles import read_profile


def test_profiles_hold_the_articles_values():
    article, demo = read_profile("article"), read_profile("demo")
    assert set(article) == set(demo)
    assert (article["epochs"], article["n_estimators"], article["window_length"], article["k"]) == (200, 500, 10_000, 5)
    differing = {key for key in article if article[key] != demo[key]}
    demo_only = {"synthetic", "assembly", "unplaced", "epochs", "audit_epochs", "word2vec_windows", "word2vec_workers",
                 "sweep_features", "sequence_windows", "sequence_epochs", "sequence_cnn_epochs"}  # fmt: skip
    assert differing == demo_only


def test_a_profile_may_be_a_file_with_some_of_the_keys(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"epochs": 7, "assembly": None}))
    expected = {**read_profile("article"), "epochs": 7, "assembly": None}
    assert read_profile(str(path)) == expected


def test_settings_come_last(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 7")
    profile = read_profile(str(path), ["epochs=9", "word2vec_windows=null", "as_published=true", "assembly=hg38"])
    assert (profile["epochs"], profile["word2vec_windows"], profile["as_published"]) == (9, None, True)
    assert profile["assembly"] == "hg38"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "epochs: found None, expected a whole number"),
        ("epochs=ten", "epochs: found 'ten', expected a whole number from 1"),
        ("epochs=0", "expected a whole number from 1"),
        ("epochs=true", "expected a whole number"),
        ("epochs=1.5", "expected a whole number"),
        ("seed=-1", "expected a whole number from 0"),
        ("k=11", "expected a whole number from 2 to 10"),
        ("unplaced=maybe", "expected error or drop"),
        ("synthetic=perhaps", "expected true or false"),
        ("protocol=lucky", "expected article or distinct or cluster or chromosome"),
        ("null_order=6", "expected a whole number from 0 to 5"),
        ("assembly=19", "expected text"),
        ("epochz=1", "found epochz, expected KEY=VALUE with a key among"),
        ("=1", "found , expected KEY=VALUE"),
        ("epochs=[1", "not YAML"),
        ("window_length=4", "window_length: found 4, expected at least k = 5"),
    ],
)
def test_values_are_checked(setting, message):
    with pytest.raises(InputError) as caught:
        read_profile("demo", [setting])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", "not YAML"),
        ("- 1", "found list, expected keys and values"),
        ("epochs: x", "whole number"),
        ("x: 1", "found x"),
        ("window_length: 4", r"--profile .*bad.yaml: window_length: found 4"),
    ],
)
def test_files_are_checked(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_profile(str(path))


def test_a_missing_or_binary_file(tmp_path):
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    for name, message in (
        ("nothing", "no such YAML file, and not one of demo, article"),
        (str(tmp_path), "no such YAML file, and not one of demo, article"),
        (str(tmp_path / "binary"), "cannot be read, expected a YAML file"),
    ):
        with pytest.raises(InputError, match=message):
            read_profile(name)
