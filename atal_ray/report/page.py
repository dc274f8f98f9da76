"""tmp."""


def write_report(campaign, config): ...
