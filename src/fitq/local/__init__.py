"""The whole platform on one machine: real servers from wheels, and every program as a child process."""
