"""Queue Connector core: the contract of components, and what runs them."""
