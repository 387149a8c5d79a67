"""From the lake to a model: sequences, counts, content, evaluation, export to ONNX."""
