"""`lightning tune`: what its command line means, what a trial is, and what is written in the end."""
