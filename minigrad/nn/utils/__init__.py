"""The names of `torch.nn.utils`: limits on gradients, parameters as one vector, sequences of different lengths."""

from . import clip_grad, convert_parameters, rnn
from .clip_grad import *
from .convert_parameters import *

__all__ = ["rnn"]
__all__ += clip_grad.__all__
__all__ += convert_parameters.__all__
