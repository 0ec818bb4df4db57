"""The VAE of SD3.5, as diffusers has it: picture to latent and back."""
