"""What the experiments of all lessons share.

`cuda`: kernels without a GPU, and what they do to memory.  `evidence`: how a learner's result came about.  `colours`:
a palette that colour-blind readers can tell apart.  `numbers`: how far apart two results are.  `pictures`: many small
images as one.  `statistics`: means with honest margins.  `threads`: one thread, for measurements.  `training`: the
loop that every training is.  `recorded`: what PyTorch said about a lesson's fixed data.  `sources`: texts that
several lessons rebuild or correct. A lesson's own ideas do not belong here.
"""
