"""The names of `torch.nn.functional`: layers, activations and losses as functions, one file for each family."""

from ...ops import padding
from ...ops.padding import *
from . import (
    activation,
    attention,
    binarization,
    classification,
    convolution,
    ctc,
    distance,
    folding,
    likelihood,
    lookup,
    margins,
    normalization,
    pooling,
    products,
    rectifiers,
    recurrent,
    regression,
    regularization,
    resizing,
    sampling,
    shuffling,
    standardization,
)
from .activation import *
from .attention import *
from .binarization import *
from .classification import *
from .convolution import *
from .ctc import *
from .distance import *
from .folding import *
from .likelihood import *
from .lookup import *
from .margins import *
from .normalization import *
from .pooling import *
from .products import *
from .rectifiers import *
from .recurrent import *
from .regression import *
from .regularization import *
from .resizing import *
from .sampling import *
from .shuffling import *
from .standardization import *

__all__: list[str] = []
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += binarization.__all__
__all__ += classification.__all__
__all__ += convolution.__all__
__all__ += ctc.__all__
__all__ += distance.__all__
__all__ += folding.__all__
__all__ += likelihood.__all__
__all__ += lookup.__all__
__all__ += margins.__all__
__all__ += normalization.__all__
__all__ += padding.__all__
__all__ += pooling.__all__
__all__ += products.__all__
__all__ += rectifiers.__all__
__all__ += recurrent.__all__
__all__ += regression.__all__
__all__ += regularization.__all__
__all__ += resizing.__all__
__all__ += sampling.__all__
__all__ += shuffling.__all__
__all__ += standardization.__all__
