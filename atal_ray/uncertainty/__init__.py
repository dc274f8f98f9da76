"""Attack, trajectory ensemble and uncertainty scores (AATU and TEUE)."""
