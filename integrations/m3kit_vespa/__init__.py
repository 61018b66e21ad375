"""BGE-M3 on Vespa: the application package, and `VespaIndex` over pyvespa."""

from __future__ import annotations

from m3kit_vespa.client import AnswerError, FeedError
from m3kit_vespa.index import VespaIndex
from m3kit_vespa.layout import M3KIT
from m3kit_vespa.opening import open_server
from m3kit_vespa.package import add_profiles, m3_package

__all__ = [
    "M3KIT",
    "AnswerError",
    "FeedError",
    "VespaIndex",
    "add_profiles",
    "m3_package",
    "open_server",
]
