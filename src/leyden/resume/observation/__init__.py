"""What is inside a run that is verified: it writes down what happens, and interrupts."""

from leyden.resume.observation.observer import observe

__all__ = ["observe"]
