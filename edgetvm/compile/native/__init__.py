"""Models as machine code alone: one C function that calls all kernels, beside their constants.

TVM's virtual machine costs a fraction of a microsecond a kernel, and some a run. A model that is a
plain list of kernel calls of known shapes needs nothing of it.
"""
