"""What tests share: a real server, real processes, polling with a bound."""
