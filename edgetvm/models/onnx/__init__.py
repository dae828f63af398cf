"""ONNX graphs into Relax: preparation, the walk over the nodes, and converters of our own."""
