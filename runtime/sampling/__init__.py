"""From noise to a latent: schedule, solver, guidance, the loop, and tiles."""
