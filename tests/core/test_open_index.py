from __future__ import annotations

import pytest

from m3kit import NoIndexError, open_index


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(NoIndexError, match=r"nowhere://.*known are file, qdrant"):
        open_index("nowhere://host/papers")
