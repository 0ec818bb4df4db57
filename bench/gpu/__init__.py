"""What is measured on a GPU, in one command: ``bench/gpu/run.sh``."""
