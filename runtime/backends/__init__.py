"""What runs a bundle's components: a folder for each library, one protocol, and the choice between them."""
