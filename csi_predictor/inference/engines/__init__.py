"""What runs a network: PyTorch, OpenVINO, ONNX Runtime."""
