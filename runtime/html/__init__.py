"""Pages of HTML that need nothing else: no network, no other files, and nothing that a page did not bring."""
