"""RQ jobs: fold due events into documents, park what cannot be folded."""
