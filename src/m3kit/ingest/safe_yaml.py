"""YAML of plain values, without aliases, by which a short text can stand for a huge one."""

from __future__ import annotations

from typing import Any

import yaml


def load(text: str) -> Any:
    """
    Parse a YAML document.

    Raises:
        ValueError: If it is no YAML, or has aliases.
    """
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506  # the loader is a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error


class _PlainLoader(yaml.SafeLoader):
    """A safe loader that refuses aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not supported; write the value out")
        return super().compose_node(parent, index)
