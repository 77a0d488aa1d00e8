"""Okabe and Ito's colours, which stay apart for colour-blind readers.

Masataka Okabe and Kei Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/.
"""

BLACK = "#000000"
BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
ORANGE = "#E69F00"
YELLOW = "#F0E442"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"

# In the order in which a figure takes them: the first ones differ most.
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
