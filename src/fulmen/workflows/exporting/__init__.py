"""Trained models as files for use elsewhere: ONNX, torch's exported programs, safetensors."""
