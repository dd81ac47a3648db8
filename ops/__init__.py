"""What people run: the command line, `up`, the simulator."""
