"""
An encoder that is elsewhere: `m3kit serve`, or a server of another API.

It needs m3kit's extra `remote`.
"""

from m3kit.remote.encoder import RemoteEncoder
from m3kit.remote.errors import RemoteError

__all__ = ["RemoteEncoder", "RemoteError"]
