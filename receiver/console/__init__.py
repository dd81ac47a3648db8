"""The console: what an operator sees and does at `/console`, in server-rendered HTML."""
