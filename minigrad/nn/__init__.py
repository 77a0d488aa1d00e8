"""The names of `torch.nn`: modules that hold parameters, one file for each family, and functions in `functional`."""

from . import (
    activation,
    attention,
    binarization,
    container,
    convolution,
    distance,
    dropout,
    embedding,
    folding,
    functional,
    init,
    linear,
    loss,
    module,
    normalization,
    padding,
    pooling,
    recurrent,
    transformer,
    utils,
    vision,
)
from .activation import *
from .attention import *
from .binarization import *
from .container import *
from .convolution import *
from .distance import *
from .dropout import *
from .embedding import *
from .folding import *
from .linear import *
from .loss import *
from .module import *
from .normalization import *
from .padding import *
from .pooling import *
from .recurrent import *
from .transformer import *
from .vision import *

__all__ = ["functional", "init", "utils"]
__all__ += activation.__all__
__all__ += attention.__all__
__all__ += binarization.__all__
__all__ += container.__all__
__all__ += convolution.__all__
__all__ += distance.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += folding.__all__
__all__ += linear.__all__
__all__ += loss.__all__
__all__ += module.__all__
__all__ += normalization.__all__
__all__ += padding.__all__
__all__ += pooling.__all__
__all__ += recurrent.__all__
__all__ += transformer.__all__
__all__ += vision.__all__
