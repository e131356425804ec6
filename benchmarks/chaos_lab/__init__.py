"""What a platform is tried with: a proxy with faults, a load, a breaker of things, and a judge."""
