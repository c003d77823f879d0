"""What preprocessors and augmentors agree on about images."""

from collections.abc import Sequence

from leyden.errors import DataError

__all__ = ["LUMA", "check_images"]

LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue add to brightness (ITU-R 601, as Pillow has it)."""

_CHANNELS = (1, 3, 4)
_LAST = (
    "Put `channels_first` before other preprocessors; for augmentors, which see rows as they are on"
    " disk, pass `augmentors=Augmentation([...], channels_last=True)`, or in a configuration"
    " `augmentors={type: augmentation, augmentors: [...], channels_last: true}`."
)


def check_images(shape: Sequence[int], what: str, *, channels: Sequence[int] = ()) -> None:
    """Refuse what are not images with their channels first.

    Args:
        shape: Shape of a batch.
        what: Who wants images, for the error.
        channels: Numbers of channels that will do; none for any number.

    Raises:
        DataError: If ``shape`` is not ``(rows, channels, height, width)``.

    Example:
        >>> check_images((32, 3, 64, 64), "grayscale", channels=(3,))
    """
    known = len(shape) == 4 and (not channels or shape[1] in channels)
    last = len(shape) == 4 and shape[-1] in _CHANNELS and shape[1] not in _CHANNELS
    if known and not last:
        return
    count = " or ".join(map(str, channels)) or "channels"
    problem = (
        f"Expected the inputs of {what} to be images (rows, {count}, height, width),"
        f" but got shape {tuple(shape)}."
    )
    remedy = f" Their channels seem to come last. {_LAST}" if last else ""
    raise DataError(f"{problem}{remedy}")
