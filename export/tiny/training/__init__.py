"""The stages of dit4sr-tiny's training: VAE, latents, flow, and the finish of all together."""
