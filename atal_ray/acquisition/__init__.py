"""Which pixels to ask for, without Ray: attack, ensemble, uncertainty, candidate set, RDS."""
