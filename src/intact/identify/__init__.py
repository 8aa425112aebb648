"""Which processes are agents."""
