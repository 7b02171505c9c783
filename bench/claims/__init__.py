"""What a paper claims, and how it is judged: verdicts computed from rows."""
