"""Every reader on mutated files: a short form of `make fuzz`."""

import hostile
import pytest


@pytest.mark.parametrize("name", sorted(hostile.readers()))
def test_mutated_files_are_read_or_refused_with_one_line(name):
    found = hostile.examine(name, 150, seed=1)
    assert found.faults == ()
    assert found.read + found.refused == 150
    assert (found.refused > 0) == hostile.readers()[name].refuses
