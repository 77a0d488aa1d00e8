"""The binary convolution compiled by Numba: 64 multiplications of signs in three instructions' share of a vector.

With signs as bits, 1 for -1, a product of n signs is n - 2 popcount(h xor b). So a convolution of C channels, K filters
and kh x kw taps needs K kh kw C/64 words for each output pixel, and each word an exclusive or (with the mask below: one
instruction does both), a count and an addition, on 8 words at once in AVX-512. It moves 4 bytes for each number of x
and of y and next to nothing for the weights (a 32nd of float32). *The limit is the two ports that execute these three
instructions*: 1.5 cycles for 512 products of signs. The same ports multiply and add 32 float32 numbers a cycle, so that
the most to be had over a perfect float32 convolution is a factor of 11 on such an Intel core; processors with more
ports give more. The 58 of the paper are relative to a slower one.

    weights, packed once          8 output pixels (one vector of words of the image)
    filter  0  word ------>  +-------------------------+
    filter  1  word ------>  | += popcount((w ^ x) & m)|      16 counts stay in registers through all taps and
    ...                      |                         |      words; x and m are loaded once for 16 filters,
    filter 15  word ------>  +-------------------------+      a weight once for 8 pixels.

The idea is to make the inner loop blind to borders, strides and dilations. The packed image is unfolded along its
columns only: image[word, tap column, row, output column], with rows sorted by their remainder modulo the stride. A tap
then lies at a fixed distance from the output pixel, from the first to the last pixel of the output without regard to
where rows end, so vectors run across rows and no lane is wasted but in the last. Zero padding is exact through a mask
word for each tap and pixel, which is free (the exclusive or and the mask are one instruction), together with the number
of signs that are left, for each pixel. Bits beyond the last channel are 0 on both sides and do not differ.

`packing` makes the words, `convolution` unfolds and counts, `scale` is the map K of the paper.

Every piece of work (a block of pixels to pack, a plane to unfold, a group of filters for 64 pixels) owns what it
writes, and counts are integers: the bits do not depend on the threads. A single image has enough pieces for all.

What it reaches on one Intel Xeon core with AVX-512, input packed in each call, weights once, speed-up over PyTorch
2.13 in float32 and share of the measured peak of xor, popcount and add (17 G words/s):

    C = K    14 x 14        28 x 28        56 x 56
    128       7   0.34      10   0.54       8   0.48
    256      11   0.58      11   0.62       8   0.55
    512      16   0.73      13   0.73       9   0.63

What is lost: 20 to 40 microseconds a call for Python, three parallel regions and fresh memory (as long as the counting
itself in the first entry), and the conversion and the stores of y, a third of the time where the sums are short.
"""

from kernels.cpu.xnor.convolution import forward
from kernels.cpu.xnor.packing import pack_signs

__all__ = ["forward", "pack_signs"]
