"""Loggers of metrics beside `metrics.jsonl`: TensorBoard, Weights & Biases."""
