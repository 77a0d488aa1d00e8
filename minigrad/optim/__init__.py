"""The names of `torch.optim`, one file for each optimiser; learning rate schedules are in `lr_scheduler`."""

from . import adadelta, adagrad, adam, adamax, lr_scheduler, nadam, optimizer, radam, rmsprop, rprop, sgd
from .adadelta import *
from .adagrad import *
from .adam import *
from .adamax import *
from .nadam import *
from .optimizer import *
from .radam import *
from .rmsprop import *
from .rprop import *
from .sgd import *

__all__ = ["lr_scheduler"]
__all__ += adadelta.__all__
__all__ += adagrad.__all__
__all__ += adam.__all__
__all__ += adamax.__all__
__all__ += nadam.__all__
__all__ += optimizer.__all__
__all__ += radam.__all__
__all__ += rmsprop.__all__
__all__ += rprop.__all__
__all__ += sgd.__all__
