"""Run a model's episodes: at train time, and after a reload under one condition."""
