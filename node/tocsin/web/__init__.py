"""Web: what the node says to its own people over HTTP. `api` is JSON for programs."""
