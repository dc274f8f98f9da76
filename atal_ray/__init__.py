"""Adversarial trajectory-ensemble active learning (ATAL) on Ray."""
