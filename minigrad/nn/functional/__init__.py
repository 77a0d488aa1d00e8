"""The names of `torch.nn.functional`: layers, activations and losses as functions, one file for each family."""

from ...ops import padding
from ...ops.padding import *
from . import (
    activation,
    attention,
    convolution,
    distance,
    folding,
    lookup,
    loss,
    normalization,
    pooling,
    products,
    rectifiers,
    recurrent,
    regularization,
    standardization,
    vision,
)
from .activation import *
from .attention import *
from .convolution import *
from .distance import *
from .folding import *
from .lookup import *
from .loss import *
from .normalization import *
from .pooling import *
from .products import *
from .rectifiers import *
from .recurrent import *
from .regularization import *
from .standardization import *
from .vision import *

__all__: list[str] = []
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += convolution.__all__
__all__ += distance.__all__
__all__ += folding.__all__
__all__ += lookup.__all__
__all__ += loss.__all__
__all__ += normalization.__all__
__all__ += padding.__all__
__all__ += pooling.__all__
__all__ += standardization.__all__
__all__ += rectifiers.__all__
__all__ += recurrent.__all__
__all__ += products.__all__
__all__ += regularization.__all__
__all__ += vision.__all__
