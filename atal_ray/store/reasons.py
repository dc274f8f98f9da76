"""What a failure of an object store means, and what to do about it."""

import re

KEYS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, on every machine, "
    "for a user who may read, write and list here"
)
_HINTS = (
    (
        r"NO_SUCH_BUCKET|NoSuchBucket|allow_bucket_creation option|Bucket .* not found",
        "there is no such bucket; make it, correct its name, "
        "or add allow_bucket_creation=true to the query of the URI",
    ),
    (
        r"NETWORK_CONNECTION|curlCode: |REQUEST_TIMEOUT|timed? ?out|error sending request",
        "the store cannot be reached; "
        "check endpoint_override and scheme in the query of the URI, and the network",
    ),
    (
        r"ACCESS_DENIED|AccessDenied|INVALID_ACCESS_KEY|InvalidAccessKey|SIGNATURE|Signature"
        r"|HTTP status 40[13]|status code: 40[13]",
        f"access is denied; {KEYS}",
    ),
    (
        r"[Cc]redentials|Missing (AccessKeyId|SecretAccessKey)|INVALID_CLIENT_TOKEN|TOKEN|ExpiredToken",
        f"the credentials are missing or not valid; {KEYS}",
    ),
)
_NOT_THE_CAUSE = re.compile(r"\n\nDebug source.*|, max_retries: .*?(?= - )", re.DOTALL)  # obstore's settings


def reason(error: BaseException) -> str:
    """What went wrong and what to do about it, from the message of a library; other messages as they are."""
    text = _NOT_THE_CAUSE.sub("", str(error))
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text)), text)
