"""Facts about models: their weights, gradients and activations, and how healthy these are."""

from leyden.introspect.health import (
    Ailment,
    Finding,
    HealthReport,
    TensorHealth,
    check_health,
    check_tensors,
)
from leyden.introspect.layers import Layers, find_layers, find_parameters
from leyden.introspect.look import (
    Of,
    activations,
    channel_norms,
    gradients,
    stored_gradients,
    weights,
)
from leyden.introspect.nonfinite import (
    NonFinite,
    find_nonfinite,
    find_nonfinite_tensor,
    is_mask,
)
from leyden.introspect.norms import Norm, Scope, norms
from leyden.introspect.over_data import (
    GradientNorms,
    GradientSums,
    PassOptions,
    Progress,
    gradient_norms,
    gradient_sums,
)
from leyden.introspect.step import Loss
from leyden.introspect.tensors import Histogram, histograms, sums
from leyden.introspect.untouched import undisturbed, untouched

__all__ = [
    "Ailment",
    "Finding",
    "GradientNorms",
    "GradientSums",
    "HealthReport",
    "Histogram",
    "Layers",
    "Loss",
    "NonFinite",
    "Norm",
    "Of",
    "PassOptions",
    "Progress",
    "Scope",
    "TensorHealth",
    "activations",
    "channel_norms",
    "check_health",
    "check_tensors",
    "find_layers",
    "find_nonfinite",
    "find_nonfinite_tensor",
    "find_parameters",
    "gradient_norms",
    "gradient_sums",
    "gradients",
    "histograms",
    "is_mask",
    "norms",
    "stored_gradients",
    "sums",
    "undisturbed",
    "untouched",
    "weights",
]
