"""Read from mapped files that may become shorter meanwhile.

A page of a mapped file that was cut off cannot be read anymore: the system ends a process that
tries. No check beforehand is soon enough. While ``refusing_lost_pages`` is in effect, such a page
is replaced by one of zeros, so that whoever reads comes to an end, and is told of it then.
"""

import ctypes
import errno
import mmap
import os
import platform
import signal
import sys
from dataclasses import dataclass, field

__all__ = ["refusing_lost_pages"]

_SIGBUS = int(signal.SIGBUS)
_FLAGS = 4  # SA_SIGINFO: the handler is told the address
_NO_SUCH_ADDRESS = 2  # BUS_ADRERR, as opposed to memory that is broken
_CODE, _ADDRESS = 8, 16  # where the facts have the cause and the address, in bytes
_FIXED = 16  # MAP_FIXED: at this very address, instead of what is there


class _Action(ctypes.Structure):
    """``struct sigaction``, as Linux has it on the machines below."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class refusing_lost_pages:  # noqa: N801 - used as a function; a class costs a tenth of the time
    """Raise an error, rather than end the process, where a mapped file has become shorter.

    The first time in a process, this has the system tell us of such pages; of those that are read
    elsewhere, it tells whom it told before. On other systems than Linux this does nothing.

    Raises:
        OSError: If a page was read that is not there anymore; zeros were read instead.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        if _state.process != os.getpid():
            _install()
        _state.depth += 1

    def __exit__(self, *_: object) -> None:
        _state.depth -= 1
        if _state.has_lost:
            _state.has_lost = False
            raise OSError(errno.EIO, "The file became shorter while it was read")


@dataclass(slots=True)
class _State:
    process: int = 0  # where we are told
    depth: int = 0  # of readers within readers
    has_lost: bool = False  # whether a page was replaced
    before: _Action = field(default_factory=_Action)  # who was told before


_state = _State()


def _install() -> None:
    _state.process = os.getpid()
    if _IS_POSSIBLE:
        _sigaction(_SIGBUS, _ACTION, _state.before)


def _replace_page(_number: int, facts: int, _context: int) -> None:
    address = ctypes.c_size_t.from_address(facts + _ADDRESS).value
    is_lost = ctypes.c_int.from_address(facts + _CODE).value == _NO_SUCH_ADDRESS
    page = address - address % mmap.PAGESIZE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _FIXED
    if _state.depth and is_lost:
        _state.has_lost = True
        if _mmap(page, mmap.PAGESIZE, mmap.PROT_READ, flags, -1, 0) == page:
            return
    _sigaction(_SIGBUS, _state.before, None)  # it happens again, and they are told
    _state.process = 0


_IS_POSSIBLE = (
    sys.platform == "linux"
    and platform.machine() in ("x86_64", "aarch64")
    and sys.maxsize > 1 << 32
)
if _IS_POSSIBLE:
    _handler = ctypes.CFUNCTYPE(None, *3 * [ctypes.c_void_p])(_replace_page)
    _system = ctypes.PyDLL(None)  # these return at once: there is no need to let other threads run
    _sigaction, _mmap = _system.sigaction, _system.mmap
    _sigaction.argtypes = [ctypes.c_int, ctypes.POINTER(_Action), ctypes.POINTER(_Action)]
    _mmap.restype = ctypes.c_size_t
    _mmap.argtypes = [*2 * [ctypes.c_size_t], *3 * [ctypes.c_int], ctypes.c_long]
    _ACTION = _Action(handler=ctypes.cast(_handler, ctypes.c_void_p).value, flags=_FLAGS)
