"""The parts of benchmarks/gpu.py, each of which runs in a process of its own."""

from gpu_parts.setup import Note, Part, Setup

__all__ = ["Note", "Part", "Setup"]
