"""The methods, one file each: a class ``Units`` that builds the units every network is made of.

    units.conv_unit(in_channels, out_channels, kernel_size, activation) -> Unit    (N, C_in, H, W) -> (N, C_out, H, W)
    units.linear_unit(in_features, out_features, activation) -> Unit               (N, F_in) -> (N, F_out)

``Units`` is a dataclass whose fields are the method's options. Adding a method is one file here and one YAML file in
``configs/method``. The comparators, layers of torch's own, share a file.
"""

import importlib
import pkgutil

from deepcontrol.methods.comparators import COMPARATORS

OWN = {module.name for module in pkgutil.iter_modules(__path__)} - {"comparators"}
METHODS = tuple(sorted(OWN | COMPARATORS.keys()))


def units_class(name: str) -> type:
    """The class ``Units`` of the method ``name``; ValueError names the allowed ones."""
    if name not in METHODS:
        raise ValueError(f"method: {name!r} is unknown; allowed are {', '.join(METHODS)}")
    if name in COMPARATORS:
        return COMPARATORS[name]
    return importlib.import_module(f"{__name__}.{name}").Units
