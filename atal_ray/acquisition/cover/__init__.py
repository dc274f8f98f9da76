"""The cover of RDS (Eq. 9) over many candidates: greedy k-center, and Algorithm 1 as printed."""
