"""``python -m leyden`` is ``leyden``."""

from leyden.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
