"""Out into the world: models as ONNX and as C, and the exchange of weights."""
