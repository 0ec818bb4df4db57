"""Whether a bundle can run here: what this machine has and lacks, and what a picture would take."""
