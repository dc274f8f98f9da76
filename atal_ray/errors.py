"""Errors a person can act on: the CLI prints the message as it stands and exits with status 2,
or 75 where it waits for people.
"""


class AtalError(Exception):
    """Base of every error whose message is written for the user."""


class ConfigError(AtalError):
    """An impossible or contradictory configuration."""


class DataError(AtalError):
    """A missing, unreadable or inconsistent image, mask, folder or table."""


class ChangedError(DataError):
    """An image or mask that is another file than the one a campaign began with."""


class CheckpointError(AtalError):
    """Weights that are missing, damaged or belong to another network."""


class CampaignError(AtalError):
    """A campaign folder that is in use, was started differently, or waits for answers."""


class WaitingError(CampaignError):
    """A campaign that goes on when people have answered; the CLI exits with status 75."""


class DivergedError(AtalError):
    """A training whose loss, or whose network's output, is no longer a finite number."""


class StoreError(CampaignError):
    """An object store that cannot be reached, denies access, or has no such bucket."""
