"""Prints scope and id of every event, as OpenAI's own SDK reads them. It is strict: an answer that is not of the types
that the SDK knows is an error.

sdk.py BASE_URL KEY
"""

import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], admin_api_key=sys.argv[2], max_retries=0, _strict_response_validation=True)
for scope, tenant_only in (("organization", False), ("tenant", True)):
    for event in client.admin.organization.audit_logs.list(limit=100, tenant_only=tenant_only):
        print(scope, event.id)
