"""The suite of attacks: small hostile submissions, run in every isolation tier, judged from outside."""
