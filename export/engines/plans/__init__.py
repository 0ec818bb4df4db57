"""Plans of NVIDIA's compilers, as far as both are alike: sizes, graphs, requests and what they answer."""
