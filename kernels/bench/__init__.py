"""How long our kernels take, beside other libraries and beside what this machine could do at best.

`minigrad bench` prints it. The parts, in the order in which a number comes about:

- `case`     one piece of work: who can do it, what it moves and computes at least, and the goal we set ourselves.
- `cases/`   the cases of each family of kernels.
- `worker`   a process that holds one library and answers "what do you compute?" and "how long does it take now?".
- `peaks`    what this machine reaches when it does nothing but multiply, count bits, or move memory.
- `measure`  compares the results, then lets the workers take turns, and puts times, ratios and floors together.
- `table`, `roofline`  the same as text, as JSON, and as a picture.

Importing any of them imports NumPy and nothing else.
"""
