"""The names of `torch.optim.lr_scheduler`: learning rates that change while training goes on.

optimizer = SGD(model.parameters(), lr=0.1)
scheduler = CosineAnnealingLR(optimizer, T_max=epochs)
for epoch in range(epochs):
    train(model, optimizer)
    scheduler.step()
"""

from . import combined, cosine, cyclic, factors, plateau, scheduler
from .combined import *
from .cosine import *
from .cyclic import *
from .factors import *
from .plateau import *
from .scheduler import *

__all__: list[str] = []
__all__ += combined.__all__
__all__ += cosine.__all__
__all__ += cyclic.__all__
__all__ += factors.__all__
__all__ += plateau.__all__
__all__ += scheduler.__all__
