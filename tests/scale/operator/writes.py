"""How many writes the API server has taken, by its own count.

Invariant: Leases are left out: API server and controllers renew theirs all the time, whatever happens.
"""

from __future__ import annotations

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from scale.operator.client import Api

_VERBS = {"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}


async def writes(api: Api) -> Counter[str]:
    """Writes since the API server began, by resource; its own housekeeping for itself is left out."""
    text = await api.request("GET", "/metrics")
    counted: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        if family.name == "apiserver_request":
            for sample in family.samples:
                labels = sample.labels
                if labels["verb"] in _VERBS and labels["resource"] != "leases":
                    name = labels["resource"] + (f"/{labels['subresource']}" if labels["subresource"] else "")
                    counted[name] += int(sample.value)
    return counted
