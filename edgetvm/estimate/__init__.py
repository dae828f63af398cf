"""Latency without the board: code is executed by QEMU, and priced by models of cores and caches."""
