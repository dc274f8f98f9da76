"""Errors a person can act on: the CLI prints the message as it stands and exits with status 2."""


class AtalError(Exception):
    """Base of every error whose message is written for the user."""


class ConfigError(AtalError):
    """An impossible or contradictory configuration."""


class DataError(AtalError):
    """A missing, unreadable or inconsistent image, mask, folder or table."""


class CheckpointError(AtalError):
    """Weights that are missing, damaged or belong to another network."""


class CampaignError(AtalError):
    """A campaign folder that is in use, was started differently, or waits for answers."""


class StoreError(CampaignError):
    """An object store that cannot be reached, denies access, or has no such bucket."""
