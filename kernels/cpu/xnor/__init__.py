"""The binary convolution compiled by Numba: 64 multiplications of signs in three instructions' share of a vector.

With signs as bits, 1 for -1, a product of n signs is n - 2 popcount(h xor b). So a convolution of C channels, K filters
and kh x kw taps needs K kh kw C/64 words for each output pixel, and each word an exclusive or, a count and an addition,
on 8 words at once in AVX-512. It moves 4 bytes for each number of x and of y and next to nothing for the weights (a
32nd of float32). *The limit is the ports that execute these three instructions*: 1.5 cycles for 512 products of signs
where two such vectors can be worked on at a time. The same ports multiply and add 32 float32 numbers a cycle, so that
the most to be had over a perfect float32 convolution is a factor of 11 on such a core; processors that multiply in
fewer ports than they count in give more. The 58 of the paper are relative to a slower one.

    weights, packed once          8 output pixels (one vector of words of the image)
    filter  0  word ------>  +-------------------------+
    filter  1  word ------>  |  += popcount(w xor x)   |      16 counts stay in registers through all taps and
    ...                      |                         |      words; x is loaded once for 16 filters, and a
    filter 15  word ------>  +-------------------------+      weight with the instruction that uses it.

The idea is to make the inner loop blind to borders, strides and dilations. The packed image is unfolded along its
columns only: image[word, tap column, row, output column], with rows sorted by their remainder modulo the stride. A tap
then lies at a fixed distance from the output pixel, from the first to the last pixel of the output without regard to
where rows end, so vectors run across rows and no lane is wasted but in the last.

*Zero padding is exact and costs nothing in the loop.* A word outside of the image is 0, which reads as 64 signs of +1.
What a tap adds to a sum there is the sum of its own signs, a number for each filter and tap that is known beforehand,
and it is subtracted where the sum begins:

    sum = n - (signs of the taps outside) - 2 count

Few pixels have a tap outside, and few kinds of them: the corners and sides, nine kinds with the inside for 3 x 3 and a
padding of 1. So there is a table of what each kind begins with, and only border pixels are looked up, once for all
images. Bits beyond the last channel are 0 on both sides and do not differ.

`packing` makes the words, `convolution` unfolds and counts, `scale` is the map K of the paper.

Every piece of work (a block of pixels to pack, a plane to unfold, a group of filters for 64 pixels) owns what it
writes, and counts are integers: the bits do not depend on the threads. A single image has enough pieces for all.

Tried, and it does not pay: a carry-save adder takes in two words with five instructions instead of six (two exclusive
ors of three operands, a choice between two, a count, an addition), but Zen 4 takes as long for them, for it is slower
with three operands than with two.

What it reaches on one core of an AMD EPYC (Zen 4), input packed in each call, weights once, speed-up over PyTorch 2.13
in float32 and share of the measured peak of xor, popcount and addition (17 G words/s):

     N  C = K    H x W
     8    128   28 x 28    16   0.80
     8    256   14 x 14    17   0.90
     4    256   28 x 28    17   0.89
     8    512   14 x 14    15   0.82
    32     64   16 x 16    13   0.62

What is lost at 128 channels: 5 % for packing, 2 % for unfolding, 2 % for Python, 8 % for the conversion and the stores
of y, which are as much work for short sums as for long ones. Where x and y do not fit into the caches, twice that.
"""

from kernels.cpu.xnor.convolution import forward
from kernels.cpu.xnor.packing import pack_signs

__all__ = ["forward", "pack_signs"]
