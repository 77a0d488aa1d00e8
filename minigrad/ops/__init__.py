"""The ops, one file for each family; every one is a forward with its vjps next to it.

A new op is written in the file of its family and named in `__all__` there; the rest follows from that.
"""

import warnings

# `operators` attaches methods to Tensor, and `pad` is only in nn.functional, as in PyTorch: neither lists names here.
from . import (
    arithmetic,
    compare,
    contraction,
    convert,
    counting,
    decompositions,
    diagonals,
    distances,
    elementwise,
    extremes,
    indexing,
    joining,
    limits,
    linear_algebra,
    matrix_functions,
    operators,  # noqa: F401
    padding,  # noqa: F401
    permutation,
    probabilities,
    rearrange,
    reduction,
    scan,
    scattering,
    shape,
    solving,
    sorting,
    special,
    splitting,
    writing,
)
from .arithmetic import *
from .compare import *
from .contraction import *
from .convert import *
from .counting import *
from .decompositions import *
from .diagonals import *
from .distances import *
from .elementwise import *
from .extremes import *
from .indexing import *
from .joining import *
from .limits import *
from .linear_algebra import *
from .matrix_functions import *
from .permutation import *
from .probabilities import *
from .rearrange import *
from .reduction import *
from .scan import *
from .scattering import *
from .shape import *
from .solving import *
from .sorting import *
from .special import *
from .splitting import *
from .writing import *

# PyTorch computes inf and nan silently where NumPy warns too. `np.errstate` around every op would cost more than a
# small op itself, so the warnings are ignored by where they come from: our own modules, and nowhere else.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"minigrad\.")

__all__: list[str] = []
__all__ += arithmetic.__all__
__all__ += compare.__all__
__all__ += contraction.__all__
__all__ += convert.__all__
__all__ += counting.__all__
__all__ += decompositions.__all__
__all__ += diagonals.__all__
__all__ += distances.__all__
__all__ += elementwise.__all__
__all__ += extremes.__all__
__all__ += indexing.__all__
__all__ += joining.__all__
__all__ += limits.__all__
__all__ += linear_algebra.__all__
__all__ += matrix_functions.__all__
__all__ += permutation.__all__
__all__ += probabilities.__all__
__all__ += rearrange.__all__
__all__ += reduction.__all__
__all__ += scan.__all__
__all__ += scattering.__all__
__all__ += shape.__all__
__all__ += solving.__all__
__all__ += sorting.__all__
__all__ += special.__all__
__all__ += splitting.__all__
__all__ += writing.__all__
