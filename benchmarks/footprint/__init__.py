"""What the C runtime costs: bytes, memory, opening, and each kernel's call.

`python -m benchmarks.footprint` builds the runtime for every platform, packages the model of
MLPerf Tiny for visual wake words (float32, 0.9 MB) and chains of one-element operators for this
machine, and runs them by `edgetvm-run`, each time in a new process. Peers open and run the same
files in this run, on one thread and in float32, each in a process of its own. There a model is
opened twice, and the second time counts: what a library does once is left out. edgetvm is told in
that way too, by its Python binding.

`--agreement` packages every recipe for x86-64, aarch64 and armv7, and runs each package's own
sample there (Arm by QEMU): the answers must be those of the recipe's reference runtime.
"""
