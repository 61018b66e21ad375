"""Models in other processes: what is sent is where a model came from, not its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from m3kit.backend.files import CheckpointError

_P = ParamSpec("_P")
_T = TypeVar("_T", bound="Reloadable")


class Reloadable:
    """
    Pickled as the arguments that loaded it, and loaded by them again.

    It never changes, so a copy of it in the same process is the same object.
    """

    _arguments: tuple[tuple[Any, ...], Mapping[str, Any]] | None = None

    @property
    def model(self) -> str:
        """The name of the model and a hash of its content."""
        raise NotImplementedError

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._arguments is None:
            raise TypeError(
                f"{self!r} was not loaded by from_pretrained, so another process cannot load it "
                "again; create it there"
            )
        return _reload, (type(self), *self._arguments, self.model)


def reloadable(
    load: Callable[Concatenate[type[_T], _P], _T],
) -> Callable[Concatenate[type[_T], _P], _T]:
    """Have a class method, whose first argument is a checkpoint, record what it was called with."""

    @wraps(load)
    def loading(cls: type[_T], /, *args: _P.args, **options: _P.kwargs) -> _T:
        loaded = load(cls, *args, **options)
        model, *others = args or (options.pop("model"),)
        loaded._arguments = (_anywhere(model), *others), options  # noqa: SLF001  # of a subclass
        return loaded

    return loading


def _anywhere(model: Any) -> Any:
    """Return an absolute path in the place of a relative one; names stay."""
    folder = Path(model).expanduser()
    is_name = isinstance(model, str) and (model == "tiny" or not folder.is_dir())
    return model if is_name else folder.absolute()


def _reload(cls: Any, args: tuple[Any, ...], options: Mapping[str, Any], model: str) -> Reloadable:
    loaded: Reloadable = cls.from_pretrained(*args, **options)
    if loaded.model != model:
        raise CheckpointError(
            f"{args[0]} is {loaded.model} here, and was {model} where it was pickled; load it from "
            "the same files"
        )
    return loaded
