"""What dit4sr-tiny learns from and is tested on: photographs, drawings, and what spoils them."""
