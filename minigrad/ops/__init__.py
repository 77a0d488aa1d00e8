"""The ops, one file for each family; every one is a forward with its vjps next to it.

A new op is written in the file of its family and named in `__all__` there; the rest follows from that.
"""

import warnings

from . import (
    arithmetic,
    compare,
    contraction,
    convert,
    decompositions,
    elementwise,
    indexing,
    linear_algebra,
    padding,
    rearrange,
    reduction,
    scan,
    scattering,
    shape,
    sorting,
    special,
)
from .arithmetic import *
from .compare import *
from .contraction import *
from .convert import *
from .decompositions import *
from .elementwise import *
from .indexing import *
from .linear_algebra import *
from .padding import *
from .rearrange import *
from .reduction import *
from .scan import *
from .scattering import *
from .shape import *
from .sorting import *
from .special import *

# PyTorch computes inf and nan silently where NumPy warns too. `np.errstate` around every op would cost more than a
# small op itself, so the warnings are ignored by where they come from: from the ops, and from nowhere else.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"minigrad\.(ops|nn)\.")

__all__: list[str] = []
__all__ += arithmetic.__all__
__all__ += compare.__all__
__all__ += contraction.__all__
__all__ += convert.__all__
__all__ += decompositions.__all__
__all__ += elementwise.__all__
__all__ += indexing.__all__
__all__ += linear_algebra.__all__
__all__ += padding.__all__
__all__ += rearrange.__all__
__all__ += reduction.__all__
__all__ += scan.__all__
__all__ += scattering.__all__
__all__ += shape.__all__
__all__ += sorting.__all__
__all__ += special.__all__
