"""Graph-to-graph passes: functions on an onnx_ir model, each with a test and a node-count difference."""
