"""The names of `torch.utils.data`: data sets, the order in which they are read, and batches of them.

loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True, generator=Generator(0))
for images, labels in loader:
    ...
"""

from . import collate, dataset, loader, sampler
from .collate import *
from .dataset import *
from .loader import *
from .sampler import *

__all__: list[str] = []
__all__ += collate.__all__
__all__ += dataset.__all__
__all__ += loader.__all__
__all__ += sampler.__all__
