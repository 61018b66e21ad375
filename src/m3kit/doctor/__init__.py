"""
What is wrong with an encoder or an index: `m3kit doctor`.

An encoder is compared with a reference of the same checkpoint, or with the scores that the authors
of BGE-M3 published; an index with a reference that encodes its texts again.
"""

from m3kit.doctor.encoders import examine
from m3kit.doctor.indexes import examine_index
from m3kit.doctor.published import examine_published
from m3kit.doctor.vectors import Finding

__all__ = ["Finding", "examine", "examine_index", "examine_published"]
