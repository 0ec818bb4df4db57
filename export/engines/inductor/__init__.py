"""Engines that torch alone can run: components compiled ahead of time by AOTInductor."""
